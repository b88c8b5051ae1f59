"""A second device that isn't there: what would fail on a GPU fails here.

Its tensors say that they are on the device `FAR`, and hold real numbers. An operation on
tensors of both devices raises as CUDA would; what CUDA allows is allowed: numbers without
dimensions, copies from one to the other, and indices on the host.
"""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from unittest.mock import patch

import torch
from torch import Tensor, nn
from torch.nn.attention import flex_attention as flex
from torch.overrides import TorchFunctionMode
from torch.utils._python_dispatch import TorchDispatchMode

FAR = torch.device("meta")  # the one kind besides the CPU that every torch goes to

aten = torch.ops.aten
COPIES = (aten._to_copy, aten.copy_, aten.to)
INDEXED = (aten.index, aten.index_put, aten.index_put_, aten._index_put_impl_)


class FarTensor(Tensor):
    """A tensor that is said to be on `FAR`; `near` has its numbers."""

    near: Tensor

    @staticmethod
    def __new__(
        cls: type["FarTensor"], near: Tensor, requires_grad: bool | None = None
    ) -> "FarTensor":
        """requires_grad: of a parameter, which accelerate makes by the class of another."""
        if requires_grad is not None:
            return nn.Parameter(near, requires_grad)  # type: ignore[return-value]
        with torch.inference_mode(False):  # or none could become a parameter later
            made: FarTensor = Tensor._make_wrapper_subclass(
                cls,
                near.size(),
                strides=near.stride(),
                storage_offset=near.storage_offset(),
                dtype=near.dtype,
                device=FAR,
                requires_grad=near.requires_grad,
            )
        made.near = near
        return made

    def __repr__(self) -> str:
        return f"FarTensor({self.near!r})"

    @classmethod
    def __torch_dispatch__(
        cls,
        operation: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return done_there(operation, args, kwargs or {})


class TwoDevices(TorchDispatchMode):
    """While it is on, tensors can be made on `FAR`, and moved there and back."""

    def __torch_dispatch__(
        self,
        operation: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        return done_there(operation, args, kwargs or {})


class Literals(TorchFunctionMode):
    """Numbers of Python's on `FAR`: tensors are made of them where a mode sees it."""

    def __torch_function__(
        self,
        function: Any,
        types: Sequence[type],
        args: Sequence[Any] = (),
        kwargs: dict[str, Any] | None = None,
    ) -> Any:
        kwargs = dict(kwargs or {})
        if function is torch.tensor and kwargs.get("device") is not None:
            device = torch.device(kwargs.pop("device"))
            return function(*args, **kwargs).to(device)
        if function in (Tensor.__getitem__, Tensor.__setitem__) and type(args[1]) is list:
            args = (args[0], torch.tensor(args[1]), *args[2:])
        return function(*args, **kwargs)


def done_there(operation: Any, args: Sequence[Any], kwargs: dict[str, Any]) -> Any:
    given: list[Any] = []
    mapped(given.append, (args, kwargs))
    tensors = [each for each in given if isinstance(each, Tensor)]
    far = any(isinstance(each, FarTensor) for each in tensors)
    packet = operation.overloadpacket
    if packet is aten._has_compatible_shallow_copy_type:
        return len({isinstance(each, FarTensor) for each in tensors}) == 1
    wanted = next((each for each in given if isinstance(each, torch.device)), None)
    if not far and (wanted is None or wanted.type != FAR.type):
        return operation(*args, **kwargs)
    if packet is aten.to and wanted is None and len(tensors) > 1:  # as another tensor
        wanted = tensors[1].device
    if far and packet not in COPIES:
        for each in tensors[:1] if packet in INDEXED else tensors:
            if each.ndim and not isinstance(each, FarTensor):
                raise RuntimeError(
                    f"Expected all tensors to be on the same device, but {packet} got "
                    f"{tuple(each.shape)} on the CPU"
                )
    near = mapped(as_near, (args, kwargs))
    result = operation(*near[0], **near[1])
    if packet in (aten._local_scalar_dense, aten.equal, aten.is_nonzero):
        return result
    goes_far = wanted.type == FAR.type if wanted is not None else far
    if packet is aten.copy_:
        return args[0]
    owners = {id(each.near): each for each in tensors if isinstance(each, FarTensor)}

    def wrapped(each: Any) -> Any:
        if not isinstance(each, Tensor) or isinstance(each, FarTensor):
            return each
        if goes_far and id(each) in owners:  # changed in place, or left as it was
            return owners[id(each)]
        return FarTensor(each) if goes_far else each

    return mapped(wrapped, result)


def mapped(change: Callable[[Any], Any], given: Any) -> Any:
    """The same with every leaf changed; torch's own tree_map takes seven times as long."""
    kind = type(given)
    if kind is tuple or kind is list:
        return kind([mapped(change, each) for each in given])
    if kind is dict:
        return {name: mapped(change, each) for name, each in given.items()}
    return change(given)


def as_near(given: Any) -> Any:
    """What an operation on the CPU is given instead."""
    if isinstance(given, FarTensor):
        return given.near
    return torch.device("cpu") if isinstance(given, torch.device) else given


def flex_attention(
    query: Tensor,
    key: Tensor,
    value: Tensor,
    block_mask: flex.BlockMask,
    scale: float | None = None,
    **_: object,
) -> Tensor:
    """torch's function of that name on `FAR`, for which it has no kernel."""
    rows, columns = (torch.arange(each.shape[-2], device=FAR) for each in (query, key))
    seen = block_mask.mask_mod(0, 0, rows[:, None], columns)
    return nn.functional.scaled_dot_product_attention(
        query, key, value, attn_mask=seen, scale=scale
    )


@contextmanager
def two_devices() -> Iterator[Callable[[str], torch.device]]:
    """Gives what stands for `open_device`: everything but the CPU is `FAR`."""
    usual = torch.__future__.get_overwrite_module_params_on_conversion()
    # New parameters, or what is `near` to one wouldn't follow its data to another dtype.
    torch.__future__.set_overwrite_module_params_on_conversion(True)
    try:
        with (
            Literals(),
            TwoDevices(),
            patch.object(flex, "flex_attention", flex_attention),
        ):
            yield lambda name: torch.device("cpu") if name == "cpu" else FAR
    finally:
        torch.__future__.set_overwrite_module_params_on_conversion(usual)
