"""A bucket of S3: its lists and its objects, or parts of them.

It is read by s3fs, which is an optional dependency. Its own attempts are switched off in
favour of `patience`, so that there is one bound for all that is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from scperformer.errors import ConfigurationError, InputError
from scperformer.waveforms.patience import PassingError, Patience, insist

PART_BYTES = 1 << 23
"""An object is read in parts of this size."""

T = TypeVar("T")


class Listed(NamedTuple):
    """An object as a list tells it.

    Attributes:
        key: its name.
        size: bytes.
        tag: its entity tag: another one is another content.
    """

    key: str
    size: int
    tag: str


@dataclass(frozen=True, slots=True)
class Bucket:
    """A bucket and how it is treated.

    Attributes:
        name: the bucket.
        region: where it is; empty if that does not matter.
        endpoint: address of the server; empty for Amazon's.
        is_signed: use this user's credentials; otherwise nobody is named.
        patience: how it is asked again.
    """

    name: str
    region: str = ""
    endpoint: str = ""
    is_signed: bool = False
    patience: Patience = field(default_factory=Patience)

    def objects(self, prefix: str) -> Iterator[Listed]:
        """Yield all objects whose names begin so.

        Raises:
            InputError: the list cannot be had.
        """
        for page in self._pages(prefix, ""):
            for one in page.get("Contents", ()):
                yield Listed(one["Key"], int(one["Size"]), one["ETag"].strip('"'))

    def folders(self, prefix: str) -> Iterator[str]:
        """Yield the names of the folders in a folder.

        Raises:
            InputError: the list cannot be had.
        """
        for page in self._pages(prefix, "/"):
            for one in page.get("CommonPrefixes", ()):
                yield one["Prefix"][len(prefix) :].rstrip("/")

    def read(self, listed: Listed, start: int, end: int) -> bytes:
        """Read bytes of an object, from `start` up to, not including, `end`.

        Raises:
            InputError: they cannot be had.
        """
        path = f"{self.name}/{listed.key}"

        def ask() -> bytes:
            data: bytes = self._call("cat_file", path, start=start, end=end)
            if len(data) != end - start:
                raise PassingError(f"cut off after {len(data)} of {end - start} bytes")
            return data

        return self._insist(ask, listed.key)

    def save(self, listed: Listed, path: Path) -> None:
        """Write an object to a file.

        Raises:
            InputError: it cannot be had, or not be written.
        """
        try:
            with path.open("wb") as file:
                for start in range(0, listed.size, PART_BYTES):
                    file.write(self.read(listed, start, min(start + PART_BYTES, listed.size)))
        except OSError as error:
            raise InputError(f"{path}: cannot be written ({error.strerror})") from error

    def _pages(self, prefix: str, delimiter: str) -> Iterator[dict[str, Any]]:
        more: dict[str, str] = {}
        while True:
            what = {"Bucket": self.name, "Prefix": prefix, "Delimiter": delimiter, **more}
            page = self._insist(partial(self._call, "call_s3", "list_objects_v2", **what), prefix)
            yield page
            if not page.get("IsTruncated"):
                return
            more = {"ContinuationToken": page["NextContinuationToken"]}

    def _insist(self, ask: Callable[[], T], key: str) -> T:
        try:
            return insist(ask, self.patience)
        except PassingError as error:
            raise InputError(f"{self.name}/{key}: {error}") from error
        except FileNotFoundError as error:
            raise InputError(f"{self.name}/{key}: there is no such object, or bucket") from error
        except PermissionError as error:
            how = "refused to these credentials" if self.is_signed else "refused to the public"
            remedy = "" if self.is_signed else "; with credentials of yours, add ?signed=yes"
            raise InputError(f"{self.name}/{key}: {how}{remedy}") from error

    def _call(self, method: str, *arguments: Any, **options: Any) -> Any:
        """Call s3fs once.

        Raises:
            FileNotFoundError, PermissionError: as the server says.
            PassingError: anything else.
        """
        system = self._system()
        try:
            return getattr(system, method)(*arguments, timeout=self.patience.answer_s, **options)
        except (FileNotFoundError, PermissionError):
            raise
        except Exception as error:  # s3fs, botocore and aiohttp have trees of errors each
            raise PassingError(str(error) or type(error).__name__) from error

    def _system(self) -> Any:
        """Return s3fs's file system; it keeps one for each process."""
        try:
            from s3fs import S3FileSystem  # noqa: PLC0415 - optional, and slow to import
        except ImportError:
            raise ConfigurationError(
                "s3:// needs s3fs, which is not installed: pip install 'scperformer[s3]'"
            ) from None
        system = S3FileSystem(
            anon=not self.is_signed,
            endpoint_url=self.endpoint or None,
            client_kwargs={"region_name": self.region} if self.region else {},
            config_kwargs={
                "connect_timeout": self.patience.silence_s,
                "read_timeout": self.patience.silence_s,
                "retries": {"total_max_attempts": 1},
            },
            use_listings_cache=False,
        )
        system.retries = 1
        return system
