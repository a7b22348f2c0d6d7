"""Which device each worker process runs on."""

from __future__ import annotations

from collections.abc import Sequence

from laterank.checks import checked_count
from laterank.encoding.session import Provider, check_providers, full_name
from laterank.errors import InputError

__all__ = ["checked_devices", "on_device", "providers_of_workers"]

WITH_DEVICE_ID = frozenset(
    {
        "CUDAExecutionProvider",
        "DmlExecutionProvider",
        "MIGraphXExecutionProvider",
        "NvTensorRTRTXExecutionProvider",
        "ROCMExecutionProvider",
        "TensorrtExecutionProvider",
    }
)
"""The execution providers with an option ``device_id``."""


def checked_devices(
    device_ids: Sequence[int] | None, providers: Sequence[Provider] | None
) -> tuple[int, ...]:
    """Return the devices, none for None.

    Raises:
        InputError: If they are none, an id is none, or no provider has devices to choose from.
    """
    if device_ids is None:
        return ()
    numbers = not isinstance(device_ids, (str, bytes)) and isinstance(device_ids, Sequence)
    if not numbers or not device_ids:
        raise InputError(f"device_ids is {device_ids!r}, expected a list of device numbers such as [0, 1]")
    for position, device in enumerate(device_ids):
        checked_count(device, f"device_ids[{position}]", least=0)
    given = [provider for provider in check_providers(providers) if _takes_device(provider)]
    if not given:
        raise InputError(
            f'device_ids is {device_ids!r}, but providers is {providers!r}; pass providers=["cuda"] with it, or leave it out'
        )
    for provider in given:
        if isinstance(provider, tuple) and "device_id" in provider[1]:
            raise InputError(
                f"device_ids is {device_ids!r}, and {provider!r} names a device_id, too; pass one"
            )
    return tuple(device_ids)


def on_device(providers: Sequence[Provider] | None, device: int) -> list[Provider]:
    """Return the same providers with one device for those that have several."""
    return [
        (_name(provider), {**_options(provider), "device_id": device})
        if _takes_device(provider)
        else provider
        for provider in check_providers(providers)
    ]


def providers_of_workers(
    providers: Sequence[Provider] | None, devices: Sequence[int], workers: int
) -> list[Sequence[Provider] | None]:
    """Return the providers of each worker: they take the devices in turn, where there are any to choose from."""
    return [
        on_device(providers, devices[worker % len(devices)]) if devices else providers
        for worker in range(workers)
    ]


def _takes_device(provider: Provider) -> bool:
    return full_name(_name(provider)) in WITH_DEVICE_ID


def _name(provider: Provider) -> str:
    return provider if isinstance(provider, str) else provider[0]


def _options(provider: Provider) -> dict[str, object]:
    return {} if isinstance(provider, str) else dict(provider[1])
