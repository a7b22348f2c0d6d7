"""Every error that laterank raises on purpose.

LaterankError
├── InputError            (ValueError)  what was passed to a call
│   ├── InputTypeError    (TypeError)   not the type that was expected
│   ├── CollectionError                 a file of documents, queries, judgements or a run
│   └── ShapeError                      arrays that do not fit together
├── ModelError                          a model as a whole
│   ├── ModelNotFoundError              no such folder, repository or file
│   ├── ModelFormatError                files that are missing, broken or contradict each other
│   └── ProviderError                   onnxruntime, or the execution provider asked for, is not there
├── EncodingError                       a model that ran and gave unusable numbers
├── WorkerError                         worker processes that did not do their work
├── CacheError                          a cache that broke its contract
└── MissingPackageError   (ImportError) an extra of laterank that is not installed
"""

__all__ = [
    "CacheError",
    "CollectionError",
    "EncodingError",
    "InputError",
    "InputTypeError",
    "LaterankError",
    "MissingPackageError",
    "ModelError",
    "ModelFormatError",
    "ModelNotFoundError",
    "ProviderError",
    "ShapeError",
    "WorkerError",
]


class LaterankError(Exception):
    """The root: catch it to catch everything that laterank raises on purpose."""


class InputError(LaterankError, ValueError):
    """An argument has a value that the call cannot work with."""


class InputTypeError(InputError, TypeError):
    """An argument is of another type than the call expects."""


class CollectionError(InputError):
    """A file of documents, queries, judgements or a run is missing, or a line of it cannot be read."""


class ShapeError(InputError):
    """Arrays have shapes that do not fit together."""


class ModelError(LaterankError):
    """A model cannot be used."""


class ModelNotFoundError(ModelError):
    """A model's folder, repository or one of its files is not there, or out of reach."""


class ModelFormatError(ModelError):
    """A model's files are missing a setting, are broken, or contradict each other."""


class ProviderError(ModelError):
    """onnxruntime is missing or broken, or the execution provider asked for did not come up."""


class EncodingError(LaterankError):
    """A model ran and gave numbers that are no token embeddings, such as NaN."""


class WorkerError(LaterankError):
    """A worker process could not be started, died again and again, did not answer, or was closed in the middle of work."""


class CacheError(LaterankError):
    """A cache returned something that is no document of this model."""


class MissingPackageError(LaterankError, ImportError):
    """A package that an extra of laterank brings is not installed."""
