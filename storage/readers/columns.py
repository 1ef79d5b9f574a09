"""The columns every corpus of images, of reports or of both has, in one place."""

import lance
import pyarrow as pa

SECTIONS = ("findings", "impression", "indication", "comparison")

_BOX = pa.struct(
    [
        ("label", pa.string()),
        ("x_px", pa.float32()),
        ("y_px", pa.float32()),
        ("width_px", pa.float32()),
        ("height_px", pa.float32()),
    ]
)
_MASK = pa.struct([("label", pa.string()), ("counts", pa.list_(pa.uint32()))])
_SPLIT = pa.field("split", pa.string(), nullable=False)

IMAGE_FIELDS = (
    pa.field("image_id", pa.string(), nullable=False),
    pa.field("patient_id", pa.string(), nullable=False),
    lance.blob_field("image"),
    pa.field("sha256", pa.string(), nullable=False),
    pa.field("width_px", pa.int32(), nullable=False),
    pa.field("height_px", pa.int32(), nullable=False),
    pa.field("labels", pa.list_(pa.string()), nullable=False),
    pa.field("view", pa.string()),
    pa.field("sex", pa.string()),
    pa.field("age_years", pa.int16()),
    pa.field("follow_up", pa.int32(), nullable=False),
    pa.field("boxes", pa.list_(_BOX), nullable=False),
    _SPLIT,
)
TEXT_FIELDS = (
    *(pa.field(section, pa.string()) for section in SECTIONS),
    pa.field("mesh", pa.list_(pa.string()), nullable=False),
    pa.field("problems", pa.list_(pa.string()), nullable=False),
    # The sections with their marks, for the record; never to be used as text.
    pa.field("as_it_came", pa.struct([(section, pa.string()) for section in SECTIONS])),
)

_UNCERTAIN = pa.field("uncertain_labels", pa.list_(pa.string()), nullable=False)

IMAGES = pa.schema(IMAGE_FIELDS)
LABELLED = pa.schema([*IMAGE_FIELDS, _UNCERTAIN])  # of sources that also say "possible"
# Of sources that draw findings. A table of its own schema, so that a corpus without masks has no
# column of them; of COCO's run lengths (`run_lengths`), the form that the sources publish.
MASKED = pa.schema([*LABELLED, pa.field("masks", pa.list_(_MASK), nullable=False)])
REPORTS = pa.schema(
    [
        pa.field("report_id", pa.string(), nullable=False),
        pa.field("patient_id", pa.string(), nullable=False),
        *TEXT_FIELDS,
        _SPLIT,
    ]
)
# A row per image. Images of one study repeat its report; `report_id` is null where there is none.
PAIRS = pa.schema(
    [
        *IMAGE_FIELDS,
        _UNCERTAIN,
        pa.field("report_id", pa.string()),
        *TEXT_FIELDS,
    ]
)
