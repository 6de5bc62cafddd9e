"""Words that say nothing about a person by themselves, and names of months, as verification reads them."""

from __future__ import annotations


def _set(text: str) -> frozenset[str]:
    return frozenset(text.split())


ORDINARY = _set(
    """
    abdomen abdominal accuray acquired acquisition adc adult airway algorithm aloka and angio angiography angle
    ankle annotation anonymised anonymized anonymous anterior aorta aortic ap application archive are area arm arms
    array arterial artery artifact atrium attenuation auto average axial axis back base basic bladder blank blood
    body bolus bone bony bowel brain breast breath bronchus calibration cardiac cardio carestream carotid cavity
    center central centre cerebral cervical characteristics chest child cine circle clean clinical cm code coil
    collimation colon color colour columns composite concept confidentiality console container contains content
    contrast control coronal coronary correction count cr cranial cranium crop ct current curved cylinder data date
    dates datetime default deidentified delay demo dental derived descriptors detail detector device diagnostic
    dicom diffusion digital direction distal distance dose dr dual dwi dx dynamic early echo edge elbow electric
    elekta element ellipse elscint empty enhanced enter epi esaote esophagus example export exposure extra extremity
    face false fast feet female femur film filter filtered fine finger first fixed fl flair flow foot for forearm
    fov frame frames from front fujifilm full function gated gateway general generator gr gradient graphics gre grid
    hand hands hard head healthineers heart helical hepatic high hips hitachi hologic hu human identity image images
    imaging import infant inferior inferred information inner institution into ir iterative jpeg kernel kidney
    kidneys knee knees ko konica kv label lao last lat late lateral left lens level limb line linear liver ll local
    localhost localizer long longitudinal loop lossless lossy lower lumbar lung lungs ma magnetic male mammography
    mandible manual mapping marker mask matrix maxilla maximum mean medical medium mg middle mindray minimum mip
    mixed mm modality modified monochrome mouth mpr mr mri multiplanar muscle name neck nerve neuro nm noise none
    normal nose not nuclear null number oblique observer operator optical options oral orbit orbital orientation
    original ot other outer ovary over pa pacs pan pancreas patient patients pattern pd pelvic pelvis perfusion
    person pet phantom phase pitch pixel pixels plan planar plane planmeca plate point polygon portable position
    posterior pr primary private profile projection prone prostate protocol proton pt pulmonary pulse quality
    radiation radiography radiological radiology radiotherapy rao real reconstruction rectangle reference
    reformatted reg region registration relation removed renal report resampled research resolution resonance rest
    retain rf right rigid ring rl roi rotation router routine rows rt sacral safe sagittal sample samples samsung sc
    scan scanner scatter scout screen se secondary section sector seg segment segmentation sequence series server
    service services setup sharp shimadzu shoulder siemens signal single sinus sirona skeleton skull slice slices
    small smooth soft software source spacing sphere spin spine spiral spleen square sr standard station stationary
    stomach storage storescp storescu stress structured study subject super supine surface survey system systems t1
    t2 table target technique temporal test text texture that the therapeutic therapy thickness thigh this thoracic
    thorax throat thyroid time tissue title toes tomography tooth toshiba total tracer trachea trauma true tse tube
    tumor uids ulna ultra ultrasound under uniform unknown unmodified unspecified upper us uterus value valve varian
    vascular vector vein venous ventral version vertebra vessel vidar view viewer voltage volume volumetric
    volunteer water waveform wedge weight whole wide window with without workstation wrist xa year years yes ziehm
    zoom bilateral derecha derecho destra destro droit droite gauche izquierda izquierdo links rechts sinistra sinistro
    """
)
# Words of institutions, addresses and makers, ordinary there and in names of devices, not in names of persons.
PLACE_WORDS = _set(
    """
    abteilung acuson agfa allee america apartment apt avenue belgium black blue boulevard box brown calle canada
    cancer canon cardiology center centre centro centrum children china city clinic clinical college company
    corporation county cyan department deutschland drive east eastern emergency europe floor foundation france germany
    gray green grey group health healthcare highway hopital hospital hospitals institut institute institutes
    institution instituto istituto italy japan kingdom klinik kliniken klinikum kodak krankenhaus laboratory lane
    limited magenta main marconi medicine memorial mens minolta national netherlands neurology north northern oncology
    ospedale paediatrics page pediatric pediatrics philips physics picker place platz plaza practice purple radiologia
    radiologie radiologische red regional road room rue school south southern spain state states stone store strasse
    street suite sunrise surgery unit united universitaet universitario universitat universite university via ward weg
    west western white women womens yellow young zentrum ziekenhuis
    """
)
# Words before the number of an ID or order.
NUMBER_CUES = _set(
    """
    acc accession aufnahme aufnahmenr auftrag auftragsnr auftragsnummer case chart dossier encounter episode examen fall
    fallnr fallnummer id mrn nhc no nr num number numero nummer order orden ordine pat patient patientennr patnr pid ref
    reference req request requisition study untersuchungsnr visit
    """
)
# Words before a postcode.
POSTCODE_CUES = _set("cap cp plz postal postcode postleitzahl zip")
# Words with which names are run together.
BESIDE_NAMES = _set(
    """
    abdomen axial brain breast chest coronal foot hand head heart image kidney knee left liver localizer lung neck
    pancreas pelvis prostate right sagittal scan scout series shoulder skull spine study thorax wrist
    """
)
# Codes that stand behind a name in one word.
GLUED_CODES = ("ct", "mr", "mri", "pet", "ptv", "ctv", "gtv", "itv", "plan", "rt", "us", "xr")
# Particles in front of family names, in the order in which they are written: initials of them are glued to the name.
FRONTS = _set("van von de der den del della di da dos la le el al ter ten vom zu")
PARTICLES = _set(
    """
    abu al and bin das de del den der dipl dos dr el for ibn ii iii iv jr jun la las le los md med mr mrs ms msc phd prof
    sen sir sr ten ter the und van von
    """
)
# The first three letters of months in several languages, a month between two bars.
MONTHS = (
    "jan ene gen|feb fev|mar mae mrz mrt maa|apr avr abr|may mai mei mag|jun giu|jul lug|aug aou ago|sep set"
    "|oct okt out ott|nov|dec dez dic"
)
# Terms of coded strings (CS) in the standard and as makers write them: there they are terms before they are names.
CODE_TERMS = _set(
    """
    alpha angled approved automatic avoidance basis beam binary black blue bright cardiology closed column complete
    completed constant context continuous coordinates created curative density dixon elem emission energy
    epicardial excised external fall field fraction fractional freq gray grey head hotiron
    hotmetal inclined intracardiac inverse iron isocentric labelmap landscape magnitude mass metal mode mosaic
    multicoil musculoskeletal norm obstetrical open organ paddle palette partial parts phased photon physical pname
    polyline portal portrait power predecessor preliminary presentation probability processed product properties
    quantity radial rectilinear relative reverse rtdose rtplan rtstruct scoord selected semiautomatic sense
    separate site sparse spring start static step summer tcoord tiled tiny treatment uidref
    unapproved undefined unverified verified wedge white winter young
    """
)
