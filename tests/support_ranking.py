"""What several tests rank, and with what: passages, an encoder that counts, the plainest cache."""

from collections.abc import Mapping, Sequence

import numpy as np

from laterank import CacheStats, ColbertEncoder

QUERY = "Which planet is known as the Red Planet?"
DOCUMENTS = [
    "Venus is often called Earth's twin because of its similar size and proximity.",
    "Mars, known for its reddish appearance, is often referred to as the Red Planet.",
    "Jupiter, the largest planet in our solar system, has a prominent red spot.",
    "Saturn, famous for its rings, is sometimes mistaken for the Red Planet.",
    "",
    "ما هو الكوكب الأحمر؟ 🚀",
]


class CountingEncoder(ColbertEncoder):
    """Remembers what it was asked to encode."""

    def __init__(self, *arguments: object, **options: object) -> None:
        super().__init__(*arguments, **options)  # type: ignore[arg-type]
        self.asked: list[str] = []

    def encode_documents(self, texts: Sequence[str]) -> list[np.ndarray]:
        self.asked += texts
        return super().encode_documents(texts)


class DictCache(dict[bytes, np.ndarray]):
    """A cache that counts as false while it is empty, and cannot tell what it has without giving it."""

    def get_many(self, keys: Sequence[bytes]) -> list[np.ndarray | None]:
        return [self.get(key) for key in keys]

    def put_many(self, documents: Mapping[bytes, np.ndarray]) -> None:
        self.update(documents)

    def stats(self) -> CacheStats:
        return CacheStats(len(self), 0, None, 0, 0, 0)
