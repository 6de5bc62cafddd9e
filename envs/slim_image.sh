#!/usr/bin/env bash
# Takes out of an environment what no step of the pipeline ever loads:  envs/slim_image.sh VENV   (for images only)
set -euo pipefail
packages=$(cd "$1" && echo lib/python3.*/site-packages)
cd "$1/$packages"
# Tests of the libraries, C headers, and the tools that installed them.
find . -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
rm -rf pyarrow/include pyarrow/src numpy/_core/include pip pip-*.dist-info setuptools setuptools-*.dist-info _distutils_hack distutils-precedence.pth
# Arrow's network service and query plans: tables are all that the audits need.
rm -f pyarrow/libarrow_flight* pyarrow/libarrow_python_flight* pyarrow/_flight* pyarrow/libarrow_substrait* pyarrow/_substrait*
# Solvers of the scheduler that no profile uses, and the text models' own code.
rm -rf pulp/solverdir
find rapidocr -type f ! -name '*.onnx' ! -name '*.txt' ! -name '*.yaml' -delete
