"""The errors callers branch on. A user's mistake is a `ValueError`; these are the world's."""


class FactoryError(Exception):
    """Root of what this project raises on purpose; its message is one clear line."""


class PlanMismatch(FactoryError):
    """A dataset of this name was made by another plan."""


class DatasetBusy(FactoryError):
    """Another run on this host already works on the dataset."""


class CommitRefused(FactoryError):
    """A table changed since it was read; begin again from the new version."""


class StoreUnavailable(FactoryError):
    """The object store did not answer clearly; the same call may go through later."""


class StoreUnfit(FactoryError):
    """The store lacks a guarantee the ledger stands on: conditional put, compare-and-swap."""


class DamagedObject(FactoryError):
    """Stored bytes are not those whose hash was recorded."""


class EngineFailed(FactoryError):
    """An engine raised, died or hung on the requests it was given."""


class EngineOutOfMemory(EngineFailed):
    """The engine batch did not fit; a smaller one may."""


class EngineStopped(FactoryError):
    """The shard was ended while its engine worked, which says nothing about the unit."""


class EngineUnavailable(FactoryError):
    """An engine cannot start at all: a missing package, checkpoint or device."""


class StoreFull(FactoryError):
    """The disk or quota under the root is used up; what was complete before stays valid."""


class ObjectMissing(FactoryError, LookupError):
    """No object of this key exists in the store."""


class StoreRefused(FactoryError):
    """The object store said no for good: a missing bucket, wrong credentials, no permission."""


class DispatchFailed(FactoryError):
    """Work pools cannot take the work: no deployment, pool, worker or Prefect server."""


class CellFailed(FactoryError):
    """A training of a study gave no result, for a reason of its own; the others go on."""


class RunCancelled(FactoryError):
    """Somebody cancelled this run in Prefect."""
