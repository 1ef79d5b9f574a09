"""Embeddings of a corpus's training images in one Lance table, and the nearest of them.

Rows are standardised (mean and deviation of the table) and of unit norm, so that a distance,
1 - cosine, is 0 for a copy, about 1 for a stranger, 2 at most.
Shape suffixes: N queries, M rows, D features, K neighbours.
"""

import hashlib
import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any, NamedTuple

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from models.encoders.seam import Matrix
from models.places import local_path
from storage.errors import DamagedObject, EngineUnavailable

METADATA_KEY = b"cxr_factory.real_images"
# Up to here every row is compared: exact, and no slower. At 200,000 rows of 384 features the
# index answered 227 single queries a second and comparing all of them 391; its gain is memory,
# of which comparing all takes 4 bytes a feature and row (0.6 GB at 200,000 of 768).
INDEX_FROM_ROWS = 200_000
NUM_NEIGHBOURS = 2  # a corpus's own image, when it is audited, is not its neighbour
_PROBES, _REFINE = 20, 10  # partitions looked into, candidates compared exactly per neighbour


@dataclass(frozen=True, slots=True)
class RealImagesOrigin:
    """What a table derives from.

    Attributes:
        encoder: Kind of the encoder.
        encoder_revision: Of its weights or rules.
        corpus: Name of the corpus.
        restricted: Whether its images are credentialed data.
        content_sha256: Over ids and embeddings.
    """

    encoder: str
    encoder_revision: str
    corpus: str
    restricted: bool
    content_sha256: str


class Neighbour(NamedTuple):
    """The nearest real image: its row in the table, and the distance to it, 0..2."""

    row: int
    distance: float


class RealImages:
    """A table of embeddings, opened."""

    def __init__(self, path: str) -> None:
        dataset = _open(path)
        self.origin, (self._mean, self._scale) = _metadata(path, dataset)
        self._dataset = dataset
        self.image_ids: list[str] = dataset.to_table(columns=["image_id"])["image_id"].to_pylist()
        self._row_of = {image_id: row for row, image_id in enumerate(self.image_ids)}
        self._all_MD = None if dataset.list_indices() else self._matrix()

    def nearest(self, embeddings_ND: Matrix, own_ids: Sequence[str]) -> list[Neighbour]:
        """The nearest row of each embedding, that of its own image left out.

        Args:
            embeddings_ND: As the encoder gave them.
            own_ids: What each image is called in the corpus; any other name leaves out no row.
        """
        unit_ND = _standardised(embeddings_ND, self._mean, self._scale)
        if self._all_MD is None:
            found = [self._by_index(unit_D) for unit_D in unit_ND]
        else:
            found = _compared(unit_ND, self._all_MD)
        own_rows = [self._row_of.get(own) for own in own_ids]
        return [
            next(one for one in neighbours if one.row != own)
            for neighbours, own in zip(found, own_rows, strict=True)
        ]

    def _by_index(self, unit_D: Matrix) -> list[Neighbour]:
        rows = self._dataset.scanner(
            columns=["row", "_distance"],
            nearest={
                "column": "embedding",
                "q": unit_D,
                "k": NUM_NEIGHBOURS,
                "nprobes": _PROBES,
                "refine_factor": _REFINE,
            },
        ).to_table()
        return [Neighbour(one["row"], float(one["_distance"])) for one in rows.to_pylist()]

    def _matrix(self) -> Matrix:
        column = self._dataset.to_table(columns=["embedding"])["embedding"].combine_chunks()
        width = column.type.list_size
        return np.asarray(column.flatten().to_numpy(), np.float32).reshape(-1, width)


def write_real_images(
    path: str,
    image_ids: Sequence[str],
    embeddings_MD: Matrix,
    origin: RealImagesOrigin,
    storage_options: dict[str, str] | None = None,
) -> None:
    """Write the table, with a vector index where one pays; the table appears whole or not at all.

    Raises:
        ValueError: If there are fewer than two images.
    """
    import lance

    if len(image_ids) < NUM_NEIGHBOURS:
        raise ValueError(
            f"expected at least 2 training images to compare with, got {len(image_ids)}"
        )
    mean, scale = embeddings_MD.mean(axis=0), embeddings_MD.std(axis=0) + 1e-3
    unit_MD = _standardised(embeddings_MD, mean, scale)
    standard = {"mean": mean.tolist(), "scale": scale.tolist()}
    metadata = {METADATA_KEY: json.dumps({"origin": asdict(origin)} | standard).encode()}
    vectors = pa.FixedSizeListArray.from_arrays(pa.array(unit_MD.ravel()), unit_MD.shape[1])
    table = pa.table(
        {"row": pa.array(range(len(image_ids))), "image_id": list(image_ids), "embedding": vectors}
    ).replace_schema_metadata(metadata)
    written = lance.write_dataset(table, path, mode="create", storage_options=storage_options)
    if len(image_ids) >= INDEX_FROM_ROWS:
        add_index(written)


def add_index(dataset: Any) -> None:
    """Index the embeddings by their cosine."""
    partitions = max(2, round(dataset.count_rows() ** 0.5))
    dataset.create_index(
        "embedding", "IVF_FLAT", metric="cosine", num_partitions=partitions, replace=True
    )


def content_hash(image_ids: Sequence[str], embeddings_MD: Matrix) -> str:
    """SHA-256 over ids and embeddings, 64 hex digits."""
    digest = hashlib.sha256("\n".join(image_ids).encode())
    digest.update(np.ascontiguousarray(embeddings_MD).tobytes())
    return digest.hexdigest()


def require_real_images(path: str, encoder: str, encoder_revision: str) -> str:
    """The hash of a table's content.

    Raises:
        EngineUnavailable: If there is none, or it was made by another encoder.
        DamagedObject: If it is no such table.
    """
    origin, _ = _metadata(path, _open(path))
    if (origin.encoder, origin.encoder_revision) != (encoder, encoder_revision):
        raise EngineUnavailable(
            f"nearest_real gate: {path} was made by the encoder {origin.encoder} of revision "
            f"{origin.encoder_revision[:19]}, the gate's is {encoder} of revision "
            f"{encoder_revision[:19]}; calibrate the gate with this encoder, or name that one"
        )
    return origin.content_sha256


def real_images_origin(path: str) -> RealImagesOrigin:
    """What a table derives from. Raises as `require_real_images`."""
    origin, _ = _metadata(path, _open(path))
    return origin


def _open(path: str) -> Any:
    import lance

    folder = local_path(path)
    if not folder.is_dir():
        raise EngineUnavailable(
            f"nearest_real gate: index must be a table of training images, got {path!r}, which "
            "does not exist; make it with `cxr-factory calibrate`"
        )
    return lance.dataset(str(folder))


def _metadata(path: str, dataset: Any) -> tuple[RealImagesOrigin, tuple[Matrix, Matrix]]:
    try:
        said = json.loads(dataset.schema.metadata[METADATA_KEY])
        mean, scale = (np.array(said[name], np.float32) for name in ("mean", "scale"))
        return RealImagesOrigin(**said["origin"]), (mean, scale)
    except (KeyError, TypeError, ValueError) as error:
        raise DamagedObject(
            f"{path} must be a table of training images, got one that says nothing of its "
            "encoder; make it again with `cxr-factory calibrate`"
        ) from error


def _standardised(x_ND: Matrix, mean: Matrix, scale: Matrix) -> Matrix:
    x_ND = (x_ND - mean) / scale
    return np.asarray(x_ND / (np.linalg.norm(x_ND, axis=1, keepdims=True) + 1e-6), np.float32)


def _compared(unit_ND: Matrix, all_MD: Matrix) -> list[list[Neighbour]]:
    """The NUM_NEIGHBOURS nearest rows of each query, nearest first."""
    distance_NM: NDArray[np.float32] = 1 - unit_ND @ all_MD.T
    near_NK = np.argpartition(distance_NM, NUM_NEIGHBOURS - 1, axis=1)[:, :NUM_NEIGHBOURS]
    return [
        sorted(
            (Neighbour(int(row), float(of_all[row])) for row in rows),
            key=lambda one: (one.distance, one.row),
        )
        for of_all, rows in zip(distance_NM, near_NK, strict=True)
    ]
