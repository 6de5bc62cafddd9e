"""Frozen records: what one step hands to the next and what the audits are made of."""

from __future__ import annotations

from enum import StrEnum

from phi_deid_pipeline.value_objects import dataclass, field


class RejectReason(StrEnum):
    """Why an input file is not released; `what_to_do` tells the user how to go on."""

    NOT_DICOM = "not_dicom"
    EMPTY = "empty"
    ARCHIVE = "archive"
    UNREADABLE_FILE = "unreadable_file"
    OUTSIDE_INPUT = "outside_input"
    TRUNCATED = "truncated"
    MALFORMED = "malformed"
    TOO_DEEP = "too_deep"
    UNKNOWN_TRANSFER_SYNTAX = "unknown_transfer_syntax"
    DICOMDIR = "dicomdir"
    UNSUPPORTED_SOP_CLASS = "unsupported_sop_class"
    MISSING_IDENTITY = "missing_identity"
    DUPLICATE_IDENTICAL = "duplicate_identical"
    DUPLICATE_CONFLICT = "duplicate_conflict"
    DUPLICATE_NOT_CHOSEN = "duplicate_not_chosen"
    CHANGED_WHILE_READ = "changed_while_read"
    PIXELS_UNDECODABLE = "pixels_undecodable"
    PIXELS_NOT_EDITABLE = "pixels_not_editable"
    CANNOT_CLEAN = "cannot_clean"
    MISSING_SUBJECT = "missing_subject"
    RESIDUAL_IDENTIFIER = "residual_identifier"
    UNKNOWN_UID = "unknown_uid"
    PIXELS_CHANGED = "pixels_changed"
    NOT_READABLE_AFTER = "not_readable_after"

    @property
    def what_to_do(self) -> str:
        return _WHAT_TO_DO[self]


_WHAT_TO_DO = {
    RejectReason.NOT_DICOM: "No DICOM content found; nothing to do unless an image was expected here.",
    RejectReason.EMPTY: "The file holds no bytes; fetch it again from its source.",
    RejectReason.ARCHIVE: "Unpack the archive into the input folder and run again.",
    RejectReason.UNREADABLE_FILE: "The file cannot be opened; check its permissions and the disk.",
    RejectReason.OUTSIDE_INPUT: "A link leads out of the input folder; copy its target into the input folder.",
    RejectReason.TRUNCATED: "The file ends too early; fetch it again from its source.",
    RejectReason.MALFORMED: "The data set cannot be parsed; repair it (dcmconv of dcmtk may) or fetch it again.",
    RejectReason.TOO_DEEP: "Sequences are nested beyond the limit; inspect the file by hand.",
    RejectReason.UNKNOWN_TRANSFER_SYNTAX: "The transfer syntax is missing or unknown; convert the file to Explicit VR Little Endian.",
    RejectReason.DICOMDIR: "A DICOMDIR indexes the original file set; make a new one from the release.",
    RejectReason.UNSUPPORTED_SOP_CLASS: "This SOP class cannot be de-identified safely yet; handle it by hand.",
    RejectReason.MISSING_IDENTITY: "A SOP class, SOP instance, study or series UID is missing or invalid (Type 1); repair the header.",
    RejectReason.DUPLICATE_IDENTICAL: "The same bytes are already in the data set; nothing to do.",
    RejectReason.DUPLICATE_CONFLICT: "Other bytes have the same SOP Instance UID: remove wrong ones, set `inventory.duplicates` or decide.",
    RejectReason.DUPLICATE_NOT_CHOSEN: "Another instance of this SOP Instance UID was chosen by `inventory.duplicates` or a decision.",
    RejectReason.CHANGED_WHILE_READ: "The file changed or went since the inventory; run again when it is quiet.",
    RejectReason.PIXELS_UNDECODABLE: "The pixels cannot be looked at for burned-in text; convert them to a supported transfer syntax.",
    RejectReason.PIXELS_NOT_EDITABLE: "Text was found but the pixels cannot be edited in this encoding; convert and run again.",
    RejectReason.CANNOT_CLEAN: "An attribute cannot be cleaned as the policy asks; the detail names its tag.",
    RejectReason.MISSING_SUBJECT: "The patient is not in the table of subjects; add a row and run again.",
    RejectReason.RESIDUAL_IDENTIFIER: "Verification found an identifier; look at the finding, then decide or mend the policy.",
    RejectReason.UNKNOWN_UID: "The result holds a UID that the UID map does not know; report it with the tag named.",
    RejectReason.PIXELS_CHANGED: "Pixel data differ where nothing was redacted; report it.",
    RejectReason.NOT_READABLE_AFTER: "The written instance does not open; report it with its SOP class and transfer syntax.",
}


class HoldReason(StrEnum):
    """Why a series is held for review; a row of the decisions file can release it."""

    RESIDUAL_IDENTIFIER = "residual_identifier"
    TEXT_LEFT = "text_left"
    TEXT_UNREADABLE = "text_unreadable"
    PHOTOGRAPH = "photograph"
    LABEL_IMAGE = "label_image"
    LINK_LOST = "link_lost"
    CONFORMANCE = "conformance"
    RECOGNIZABLE_VISUAL_FEATURES = "recognizable_visual_features"
    WITHHELD = "withheld"


class Status(StrEnum):
    """Where an instance ended."""

    RELEASED = "released"
    REJECTED = "rejected"
    HELD = "held"


class LinkState(StrEnum):
    """What became of a reference."""

    RESOLVED = "resolved"
    DANGLING = "dangling"  # `DanglingReason` says why
    DROPPED_BY_POLICY = "dropped_by_policy"
    LOST = "lost"
    NOT_WRITTEN = "not_written"  # the object that refers was rejected


class DanglingReason(StrEnum):
    """Why what a reference names is not in the release."""

    NOT_IN_DATA_SET = "not_in_data_set"
    HELD = "held"
    REJECTED = "rejected"


class Agreement(StrEnum):
    """Whether the geometry of two linked instances fits together."""

    AGREES = "agrees"
    DIFFERS = "differs"
    NOT_CHECKED = "not_checked"


class Verdict(StrEnum):
    """Verdict on a region of burned-in text."""

    IDENTIFYING = "identifying"
    UNKNOWN = "unknown"
    BENIGN = "benign"
    NOT_TEXT = "not_text"


class Category(StrEnum):
    """What kind of identifier a lexicon entry is."""

    NAME = "name"  # the patient, relatives
    PERSON = "person"  # staff, referring physicians, operators
    RECORD_NUMBER = "record_number"  # patient IDs
    ACCESSION = "accession"  # accession, order, study and visit numbers
    DATE = "date"
    BIRTH_DATE = "birth_date"  # the role of a date that stands among the dates, too
    INSTITUTION = "institution"
    ADDRESS = "address"
    CONTACT = "contact"  # telephone, e-mail, URL
    DEVICE = "device"  # serial numbers, station names, AE titles
    OTHER = "other"


class UidType(StrEnum):
    """The role in which a UID stands."""

    STUDY = "STUDY"
    SERIES = "SERIES"
    SOP = "SOP"
    FRAME_OF_REFERENCE = "FRAME_OF_REFERENCE"
    DIMENSION_ORGANIZATION = "DIMENSION_ORGANIZATION"
    IRRADIATION_EVENT = "IRRADIATION_EVENT"
    DEVICE = "DEVICE"
    OTHER = "OTHER"


@dataclass(frozen=True, slots=True)
class UidUse:
    """One UI value of an instance: where it stands and in which role; `identity` if it names the instance itself."""

    uid: str
    uid_type: UidType
    path: str  # e.g. "0020000D" or "3006010.30060012.00081155", tags without item numbers
    identity: bool
    sop_class_uid: str = ""  # for references: Referenced SOP Class UID of the same item


@dataclass(frozen=True, slots=True)
class InstanceEntry:
    """One instance in a manifest. `path` is relative to the input root, `patient` an opaque id such as `p000001`."""

    path: str
    size: int
    sha256: str
    patient: str
    study_uid: str
    series_uid: str
    sop_uid: str
    sop_class_uid: str
    transfer_syntax_uid: str
    modality: str
    rows: int
    columns: int
    frames: int
    has_pixels: bool
    hold: tuple[str, ...] = ()  # HoldReason values known from the header alone
    uids: tuple[UidUse, ...] = ()
    head: bool = False  # a CT or MR slice whose header names the head
    slice_mm: float = 0.0  # distance or thickness of its slices in mm, 0: unknown


@dataclass(frozen=True, slots=True)
class SeriesEntry:
    """One series of a batch: its instances sorted by source SOP Instance UID."""

    patient: str
    study_uid: str
    series_uid: str
    instances: tuple[InstanceEntry, ...]
    rejected: int = 0  # instances of this series that the inventory rejected: the series is incomplete
    patient_key: str = ""  # what makes the patient one: the pseudonym hangs on it, never on the opaque id


@dataclass(frozen=True, slots=True)
class Manifest:
    """The work of one batch."""

    batch: str
    series: tuple[SeriesEntry, ...]


@dataclass(frozen=True, slots=True)
class RejectedFile:
    """One input file that goes no further (`private/rejected.jsonl`)."""

    path: str
    reason: RejectReason
    what_to_do: str
    detail: str = ""  # tags, offsets, codes: never a value
    is_dicom: bool = False
    size: int = 0
    sha256: str = ""
    patient: str = ""
    study_uid: str = ""
    series_uid: str = ""
    sop_uid: str = ""
    sop_class_uid: str = ""
    modality: str = ""
    others: tuple[
        str, ...
    ] = ()  # of a duplicate: paths of files with the same SOP Instance UID, some where they are many


@dataclass(frozen=True, slots=True)
class Box:
    """A rectangle in source pixel coordinates: column x, row y of the upper left corner, width and height in pixels."""

    x: int
    y: int
    w: int
    h: int


@dataclass(frozen=True, slots=True)
class Region:
    """Text seen in one frame (0-based) of one plane, before anybody judged it."""

    frame: int
    box: Box
    text: str
    confidence: float  # of the reader, 0-1, two digits
    score: float  # of the detector, 0-1, two digits
    reader: str
    plane: str = "pixels"  # pixels, overlay 6000, high bits
    second_text: str = ""  # what the second reader read where the first was unsure


@dataclass(frozen=True, slots=True)
class Reading:
    """All text seen in the pixels of one instance; kept under `content_key`."""

    content_key: str
    status: str  # read, no_pixels, skipped, undecodable
    detail: str
    frames: int
    frames_read: int
    readers: tuple[str, ...]  # name, version and model digest
    regions: tuple[Region, ...]
    rows: int = 0
    columns: int = 0


@dataclass(frozen=True, slots=True)
class InstanceReading:
    """The reading of one instance of a batch (one line of `private/read/{batch}.jsonl`)."""

    sop_uid: str
    path: str
    reading: Reading


@dataclass(frozen=True, slots=True)
class Finding:
    """A judged region. `category` is a Category value, or empty.

    `id` is made of frame, plane, box and text: a decision that names it holds for this text at this place alone.
    """

    frame: int
    box: Box
    plane: str
    text: str
    confidence: float
    verdict: Verdict
    category: str
    reason: str
    hide: bool
    id: str = ""


@dataclass(frozen=True, slots=True)
class InstanceFindings:
    """The verdicts on one instance, with boxes to fill and the category of what stands in each.

    `fills` are filled in every frame, `frame_fills` in the frame named and those that show the same there. `group` names
    the group whose boxes it shares, "" where it shares none beyond its series.
    """

    sop_uid: str
    path: str
    status: str
    detail: str
    frames: int
    frames_read: int
    readers: tuple[str, ...]
    findings: tuple[Finding, ...]
    fills: tuple[Box, ...] = ()
    frame_fills: tuple[tuple[int, Box], ...] = ()
    hold: tuple[str, ...] = ()
    fill_categories: tuple[str, ...] = ()
    frame_fill_categories: tuple[str, ...] = ()
    group: str = ""


@dataclass(frozen=True, slots=True)
class TagAction:
    """What happened to one attribute path of an instance: code of Table E.1-1, resolved action, rule, HIPAA letter."""

    path: str
    keyword: str
    vr: str
    code: str
    action: str
    hipaa: str = ""
    count: int = 1


@dataclass(frozen=True, slots=True)
class DeidRecord:
    """What `deidentify_series` did to one instance (one line of the private records; the audit is made from it)."""

    input_path: str
    input_checksum: str
    sop_class_uid: str
    modality: str
    old_study_uid: str
    old_series_uid: str
    old_sop_uid: str
    study_uid: str
    series_uid: str
    sop_uid: str
    patient: str
    status: Status
    reason: str
    detail: str
    staged_path: str  # {new study}/{new series}/{new sop}.dcm below the staging folder of the batch
    checksum: str
    transfer_syntax_uid: str
    source_transfer_syntax_uid: str
    pixel_data: str  # none, untouched, comments_removed, redacted
    pixel_sha256: str  # of the value of Pixel Data as written where it is a new one, else ""
    tags_removed: tuple[TagAction, ...] = ()
    tags_cleaned: tuple[TagAction, ...] = ()
    tags_replaced: tuple[TagAction, ...] = ()
    private_tags_stripped: int = 0
    uids_replaced: int = 0
    boxes: tuple[tuple[int, Box], ...] = ()  # frame (-1 every frame), box filled
    boxes_hipaa: str = ""  # letters of what stood in them
    burned_in_text_scan: dict = field(default_factory=dict)
    hold: tuple[str, ...] = ()
    recognizable_visual_features: bool = False  # part of a volume that a face can be rebuilt from


@dataclass(frozen=True, slots=True)
class Subject:
    """What a site's table of subjects says of a patient, or of one study of the patient."""

    pseudonym: str
    name: str = ""
    sponsor_name: str = ""
    protocol_id: str = ""
    protocol_name: str = ""
    site_id: str = ""
    site_name: str = ""
    time_point_id: str = ""
    time_point_description: str = ""


@dataclass(frozen=True, slots=True)
class StudySubject:
    """Who a study belongs to, by source Study Instance UID (one line of `private/subjects/{batch}.jsonl`)."""

    patient_key: str
    study_uid: str
    subject: Subject


@dataclass(frozen=True, slots=True)
class UnknownWord:
    """A folded word that descriptions lost because the vocabulary lacks it, by keyword ("": a private attribute)."""

    word: str
    attribute: str
    count: int


@dataclass(frozen=True, slots=True)
class Residual:
    """Something that verification found and should not have: kind of check, where, category; never the value."""

    check: str
    where: str
    category: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class VerificationRecord:
    """Verdict of verification on one written instance; `residuals` empty means that nothing was found by these checks."""

    sop_uid: str
    series_uid: str
    status: Status
    reason: str
    checks: tuple[str, ...]
    residuals: tuple[Residual, ...] = ()


@dataclass(frozen=True, slots=True)
class Decision:
    """A person's verdict: `what` is a new study, series or SOP instance UID, or `<new SOP UID>#<id of finding>`."""

    what: str
    verdict: str  # release, withhold, hide, keep
    who: str
    when: str
    why: str


@dataclass(frozen=True, slots=True)
class StackProduct:
    """A file made of a CT stack: a picture, a volume, or a mask along with it (UIDs are new ones).

    It may be released where every instance of `sources` is and `problems` is empty; `marks` are the SEG and RTSTRUCT
    among them.
    """

    study_uid: str
    series_uid: str
    stack: int  # from 1, as in the CT preprocessing audit
    kind: str  # picture, image, mask
    sources: tuple[str, ...]
    marks: tuple[str, ...] = ()
    segment: int = 0
    lost: int = 0  # planes of the segment that lie on no slice; of a picture contours that are not in it
    name: str = ""  # in the release
    sha256: str = ""
    size: int = 0
    problems: tuple[str, ...] = ()
    spacing: tuple[float, ...] = ()
    matrix: tuple[int, ...] = ()
    origin: tuple[float, ...] = ()
    direction: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True)
class SliceAttributes:
    """Geometry attributes of one slice (an instance, or one frame of it) as its header states them; None where absent.

    Lengths are in mm, directions and positions in the patient coordinate system (LPS).
    """

    study_uid: str
    series_uid: str
    sop_uid: str
    frame: int = 0  # 0-based
    number_of_frames: int = 1
    frame_of_reference_uid: str = ""
    image_type: tuple[str, ...] = ()
    acquisition_number: int | None = None
    temporal_position: int | None = None
    convolution_kernel: tuple[str, ...] = ()
    position: tuple[float, ...] | None = None  # 3: centre of the first pixel
    orientation: tuple[float, ...] | None = None  # 6: direction along a row, direction along a column
    rows: int | None = None
    columns: int | None = None
    pixel_spacing: tuple[float, ...] | None = None  # 2: between rows, between columns
    imager_pixel_spacing: tuple[float, ...] | None = None  # 2: the same at the detector
    slice_thickness: float | None = None
    spacing_between_slices: float | None = None
    gantry_tilt: float | None = None  # degrees
    rescale_slope: float | None = None
    rescale_intercept: float | None = None
    rescale_type: str = ""
    pixel_padding_value: int | None = None  # a stored value
    photometric_interpretation: str = ""
    samples_per_pixel: int | None = None
    bits_allocated: int | None = None
    bits_stored: int | None = None
    high_bit: int | None = None
    pixel_representation: int | None = None
    invalid_attributes: tuple[str, ...] = ()  # names of the fields above whose value in the header cannot be used


@dataclass(frozen=True, slots=True)
class Picture:
    """One JPEG by the name of its content below `private/pictures/{batch}/`, with its size in pixels."""

    name: str
    width: int
    height: int


@dataclass(frozen=True, slots=True)
class PictureMark:
    """One finding as a row shows it: its number in the picture, what was read there, and what became of it."""

    number: int
    frame: int
    plane: str
    state: str
    text: str
    verdict: str
    category: str
    reason: str
    confidence: float
    reader: str
    id: str
    crop: Picture | None = None


@dataclass(frozen=True, slots=True)
class PictureRow:
    """One frame of an instance with findings; pictures are None where there is none, and `note` says why.

    `alike` counts the instances of the series with the same boxes and verdicts, `kept_elsewhere` is text kept in those.
    """

    sop_uid: str
    position: int  # of the instance in its series, from 1
    frame: int
    frames: int
    marks: tuple[PictureMark, ...]
    number: int | None = None  # Instance Number
    original: Picture | None = None
    boxes: Picture | None = None
    result: Picture | None = None
    further_boxes: int = 0  # boxes filled for what other slices, a device or a group show
    note: str = ""
    alike: int = 0
    kept_elsewhere: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Unread:
    """Instances of a series that were not looked at, by the reason; the first stands for all."""

    sop_uid: str
    position: int
    status: str
    detail: str
    count: int


@dataclass(frozen=True, slots=True)
class Thumbnail:
    """One frame of an instance as written, with boxes drawn."""

    sop_uid: str
    position: int
    frame: int
    frames: int
    states: tuple[str, ...]  # which kinds of boxes it shows
    picture: Picture


@dataclass(frozen=True, slots=True)
class SeriesPictures:
    """All pictures of one series, by new UIDs; `staged` are the instances that were written."""

    study_uid: str
    series_uid: str
    modality: str
    instances: int
    staged: int
    with_findings: int
    findings: dict[str, int]  # by state
    rows: tuple[PictureRow, ...] = ()
    not_shown: int = 0  # instances whose boxes differ from all that are shown
    unread: tuple[Unread, ...] = ()
    thumbnails: tuple[Thumbnail, ...] = ()
