#!/usr/bin/env bash
# Takes out of an environment what no step of the pipeline ever loads:  envs/slim_image.sh VENV   (for images only)
set -euo pipefail
packages=$(cd "$1" && echo lib/python3.*/site-packages)
cd "$1/$packages"
# Tests of the libraries, C headers, and the tools that installed them.
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
rm -rf pyarrow/include pyarrow/src numpy/_core/include pip pip-*.dist-info setuptools setuptools-*.dist-info _distutils_hack distutils-precedence.pth
# Arrow's network service and its access to buckets: tables are all that the audits need. libarrow_substrait stays, all link to it.
rm -f pyarrow/libarrow_flight* pyarrow/libarrow_python_flight* pyarrow/_flight* pyarrow/libarrow_s3* pyarrow/_s3fs*
rm -f pyarrow/libarrow_*.so pyarrow/libarrow_*.so.*.*.* # second and third copies; what loads them asks for libarrow_X.so.N
# Solvers of the scheduler that no profile uses, and the text models' own code.
rm -rf pulp/solverdir
find rapidocr -type f ! -name '*.onnx' ! -name '*.txt' ! -name '*.yaml' -delete
# What is left still loads.
../../../bin/python -c "import cv2, imagecodecs, jpeg_ls, matplotlib.backends.backend_agg, onnxruntime, openjpeg, pandas, PIL.Image
import pyarrow.compute, pyarrow.parquet, pydicom, pytesseract, SimpleITK, snakemake.cli"
