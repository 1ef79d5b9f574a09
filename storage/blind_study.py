"""Blind studies under their names, and their images as readers see them.

What is shown is drawn once and put if absent. Which item is real stands in the same object, and is
for nobody who has not answered every item.
"""

import io
import json
from dataclasses import asdict

import numpy as np
from PIL import Image, UnidentifiedImageError
from pydantic import ValidationError

from storage.blind_draw import draw_study
from storage.blind_records import BlindItem, BlindStudy, BlindStudyPlan
from storage.errors import DamagedObject, ObjectMissing, PlanMismatch
from storage.json_files import parse_json
from storage.layout import DatasetLayout, Table, corpus_table
from storage.objects import ObjectStore
from storage.plan_lock import differences
from storage.releases import open_release, open_table
from storage.tables import lance_errors, open_lance


def create_study(
    store: ObjectStore, layout: DatasetLayout, name: str, plan: BlindStudyPlan
) -> BlindStudy:
    """Draw a study and put it under its name; the same plan again gives the study that stands.

    Raises:
        ValueError: If there is no such corpus, or too few images of the size.
        ObjectMissing: If there is no such release.
        PlanMismatch: If another plan has the name; says what differs.
    """
    if not store.exists(layout.study(name)):
        drawn = asdict(draw_study(store, layout, name, plan)) | {"plan": plan.model_dump()}
        data = json.dumps(drawn, indent=2).encode()
        store.put_if_absent(layout.study(name), data)  # another may have drawn it meanwhile
    stands = read_study(store, layout, name)
    if stands.plan != plan:
        changes = differences(stands.plan.model_dump(), plan.model_dump())
        raise PlanMismatch(
            f"study {name!r} of dataset {layout.name!r} was drawn by another plan: "
            f"{'; '.join(changes)}; choose another name"
        )
    return stands


def read_study(store: ObjectStore, layout: DatasetLayout, name: str) -> BlindStudy:
    """The study of this name.

    Raises:
        ObjectMissing: If there is none; says which there are.
        DamagedObject: If what lies there is none.
    """
    key = layout.study(name)
    try:
        fields = parse_json(store.get(key), store.uri(key))
    except ObjectMissing as error:
        known = ", ".join(study_names(store, layout)) or "none yet"
        raise ObjectMissing(
            f"no blind study {name!r} of dataset {layout.name!r} in {store.root}, it has: {known}"
        ) from error
    try:
        plan = BlindStudyPlan.model_validate(fields.pop("plan"))
        items = tuple(BlindItem(**item) for item in fields.pop("items"))
        return BlindStudy(plan=plan, items=items, **fields)
    except (ValidationError, TypeError, KeyError) as error:
        reason = " ".join(str(error).split())
        raise DamagedObject(f"{store.uri(key)}: expected a blind study, got: {reason}") from error


def study_names(store: ObjectStore, layout: DatasetLayout) -> list[str]:
    """Names of a dataset's blind studies, in order."""
    folder = layout.studies_folder
    keys = (info.key.removeprefix(folder) for info in store.list(folder))
    return [key.removesuffix(".json") for key in keys if key.endswith(".json")]


def item_image(store: ObjectStore, study: BlindStudy, item_id: str) -> bytes:
    """An item as readers see it: grey, square, one size, one way of encoding, nothing said.

    The middle square of the image, made smaller.

    Raises:
        ObjectMissing: If the study has no such item, or its table is gone.
        DamagedObject: If the stored image cannot be decoded.
    """
    item = study.item(item_id)
    layout = DatasetLayout(study.dataset)
    if item.synthetic:
        dataset = open_table(store, open_release(store, layout, study.release), Table.PAIRS)
    else:
        dataset = open_lance(store, corpus_table(study.plan.corpus), study.corpus_version)
    with lance_errors(dataset.uri):
        ((_, stored),) = dataset.read_blobs("image", indices=[item.row])
    try:
        with Image.open(io.BytesIO(stored or b"")) as image:
            return _plain(image.convert("L"), study.plan.image_size_px)
    except (UnidentifiedImageError, OSError) as error:
        raise DamagedObject(f"item {item_id} of study {study.name!r} cannot be decoded") from error


def _plain(image: Image.Image, size_px: int) -> bytes:
    side = min(image.size)
    left, top = (image.width - side) // 2, (image.height - side) // 2
    square = image.resize(
        (size_px, size_px), Image.Resampling.LANCZOS, box=(left, top, left + side, top + side)
    )
    target = io.BytesIO()
    plain = Image.fromarray(np.asarray(square))  # new: no metadata
    plain.save(target, "PNG", compress_level=0)  # or a file's length would tell noise from none
    return target.getvalue()
