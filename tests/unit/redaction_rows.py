"""What was redacted in the tests, a row a kind of encoding: real file, what it is, transfer syntax after, and why another."""

from __future__ import annotations

from dataclasses import dataclass

IMPLICIT, EXPLICIT, BIG, DEFLATED = (
    "1.2.840.10008.1.2", "1.2.840.10008.1.2.1", "1.2.840.10008.1.2.2", "1.2.840.10008.1.2.1.99",
)  # fmt: skip
RLE, JPEG, JPEG12 = "1.2.840.10008.1.2.5", "1.2.840.10008.1.2.4.50", "1.2.840.10008.1.2.4.51"
JPEG_LS, J2K = "1.2.840.10008.1.2.4.80", "1.2.840.10008.1.2.4.90"
RETIRED, NO_ENCODER = "retired process: no encoder", "JPEG lossless: no encoder"
LOSSY = "lossy or high-throughput: encoding again would lose more"
NOT_LOSSLESS = "no lossless encoding of this image in its transfer syntax"
IMAGES = "cornerstone3D/examplesOld/test-images/"
CORNERSTONE = f"{IMAGES}CTImage.dcm_"


@dataclass(frozen=True)
class Row:
    """`what` is encoding and photometric interpretation; `after` the transfer syntax written, `why` if it is another."""

    what: str
    path: str  # below shared/data, or a name in pydicom's wheel
    after: str
    why: str = ""


ROWS = (
    Row("Implicit LE, MONOCHROME2, signed 16", f"{CORNERSTONE}LittleEndianImplicitTransferSyntax_1.2.840.10008.1.2.dcm", IMPLICIT),
    Row("Explicit LE, MONOCHROME2, signed 16", "pydicom/test_files/CT_small.dcm", EXPLICIT),
    Row("Explicit LE, MONOCHROME2, 12 of 16", "pydicom-data/emri_small.dcm", EXPLICIT),
    Row("Explicit LE, MONOCHROME1", "pydicom/test_files/dicomdirtests/77654033/CR1/6154", EXPLICIT),
    Row("Explicit LE, PALETTE COLOR 8", "pydicom-data/OBXXXX1A.dcm", EXPLICIT),
    Row("Implicit LE, PALETTE COLOR 16", "pydicom-data/gdcm-US-ALOKA-16.dcm", IMPLICIT),
    Row("Explicit LE, RGB by pixel", "deid-data/RGB_IMAGE.dcm", EXPLICIT),
    Row("RGB by plane", "pydicom-data/color-pl.dcm", EXPLICIT),
    Row("Explicit LE, RGB of 32 bits", "pydicom-data/SC_rgb_32bit.dcm", EXPLICIT),
    Row("Explicit LE, YBR_FULL", "pydicom-data/SC_ybr_full_uncompressed.dcm", EXPLICIT),
    Row("Explicit LE, YBR_FULL_422 in pairs", "pydicom/test_files/SC_ybr_full_422_uncompressed.dcm", EXPLICIT),
    Row("Explicit LE, single bits", "pydicom-data/liver.dcm", EXPLICIT),
    Row("Explicit BE, MONOCHROME2", "pydicom/test_files/MR_small_bigendian.dcm", BIG),
    Row("Explicit BE, PALETTE COLOR", "pydicom-data/OBXXXX1A_expb.dcm", BIG),
    Row("Explicit BE, RGB of 16 bits", "pydicom-data/SC_rgb_expb_16bit_2frame.dcm", BIG),
    Row("Explicit BE, single bits", "pydicom-data/liver_expb.dcm", BIG),
    Row("Deflated", "dicognito/test_writes_deflated_file_correctly/CT_small_deflated.dcm", DEFLATED),
    Row("RLE, MONOCHROME2 16", "pydicom/test_files/MR_small_RLE.dcm", RLE),
    Row("RLE, RGB, frames", "pydicom/test_files/SC_rgb_rle_2frame.dcm", RLE),
    Row("RLE, RGB of 32 bits", "pydicom/test_files/SC_rgb_rle_32bit.dcm", RLE),
    Row("RLE, single bits", "pydicom-data/liver_rle.dcm", EXPLICIT, NOT_LOSSLESS),
    Row("JPEG Baseline, MONOCHROME2", f"{CORNERSTONE}JPEGProcess1TransferSyntax_{JPEG}.dcm", JPEG),
    Row("JPEG Baseline, RGB", "pydicom/test_files/SC_jpeg_no_color_transform.dcm", JPEG),
    Row("JPEG Baseline, YBR_FULL 4:4:4", "cornerstone3D/testImages/TestPattern_JPEG-Baseline_YBRFull.dcm", JPEG),
    Row("JPEG Baseline, YBR_FULL_422", "cornerstone3D/testImages/TestPattern_JPEG-Baseline_YBR422.dcm", JPEG),
    Row("JPEG Baseline, 4:2:0", "pydicom/test_files/SC_rgb_dcmtk_+eb+cy+n1.dcm", JPEG),
    Row("JPEG Baseline, YBR, frames", "pydicom/test_files/examples_ybr_color.dcm", JPEG),
    Row("JPEG Baseline, 3 x 3 pixels", "pydicom/test_files/SC_rgb_small_odd_jpeg.dcm", JPEG),
    Row("JPEG Extended 12 bit", f"{CORNERSTONE}JPEGProcess2_4TransferSyntax_{JPEG12}.dcm", JPEG12),
    Row("JPEG Extended 12 bit, NM", "pydicom/test_files/JPGExtended.dcm", JPEG12),
    Row("JPEG Extended in 12 fragments, no table", f"{IMAGES}CT0012.fragmented_no_bot_jpeg_baseline.51.dcm", JPEG12),
    Row("JPEG Spectral Selection (retired)", f"{CORNERSTONE}JPEGProcess6_8TransferSyntax_1.2.840.10008.1.2.4.53.dcm", JPEG_LS, RETIRED),
    Row("JPEG Full Progression (retired)", f"{CORNERSTONE}JPEGProcess10_12TransferSyntax_1.2.840.10008.1.2.4.55.dcm", JPEG_LS, RETIRED),
    Row("JPEG Lossless P14", f"{CORNERSTONE}JPEGProcess14TransferSyntax_1.2.840.10008.1.2.4.57.dcm", JPEG_LS, NO_ENCODER),
    Row("JPEG Lossless SV1, MONOCHROME2", f"{CORNERSTONE}JPEGProcess14SV1TransferSyntax_1.2.840.10008.1.2.4.70.dcm", JPEG_LS, NO_ENCODER),
    Row("JPEG Lossless SV1, RGB", "pydicom/test_files/SC_rgb_jpeg_gdcm.dcm", JPEG_LS, NO_ENCODER),
    Row("JPEG-LS lossless", f"{CORNERSTONE}JPEGLSLosslessTransferSyntax_{JPEG_LS}.dcm", JPEG_LS),
    Row("JPEG-LS lossless, RGB", "cornerstone3D/testImages/TestPattern_JPEG-LS-Lossless.dcm", JPEG_LS),
    Row("JPEG-LS near-lossless, RGB", "pydicom/test_files/SC_rgb_jls_lossy_line.dcm", JPEG_LS, LOSSY),
    Row("JPEG 2000 lossless", "pydicom/test_files/MR_small_jp2klossless.dcm", J2K),
    Row("JPEG 2000 lossless, YBR_RCT", "pydicom/test_files/examples_jpeg2k.dcm", J2K),
    Row("JPEG 2000 lossless, single bits", "pydicom-data/liver_j2k.dcm", EXPLICIT, NOT_LOSSLESS),
    Row("JPEG 2000 lossy, MONOCHROME2", "pydicom/test_files/693_J2KI.dcm", J2K, LOSSY),
    Row("JPEG 2000 lossy, YBR_ICT", "pydicom-data/US1_J2KI.dcm", J2K, LOSSY),
    Row("HTJ2K lossless, RGB", "pydicom-data/HTJ2KLossless_08_RGB.dcm", J2K, LOSSY),
    Row("HTJ2K lossy, RGB", "pydicom-data/HTJ2K_08_RGB.dcm", J2K, LOSSY),
    Row("Deflated image frames", "pydicom-data/liver_deflate.dcm", "1.2.840.10008.1.2.8.1"),
)  # fmt: skip
