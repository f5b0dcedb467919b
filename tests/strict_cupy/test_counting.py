"""What is counted as a launch and as a synchronisation; and no launch goes over two devices."""

from __future__ import annotations

import inspect
import threading
from typing import Any

import numpy as np
import pytest

from strict_cupy import Wait, count, cupy, no_sync
from strict_cupy.checks import on_gpu

# -- counting ----------------------------------------------------------------------------------------------------------


def test_every_call_that_computes_is_a_launch(x: Any) -> None:
    for launches, call in (
        (1, lambda: x + 1),
        (3, lambda: (x * x + 1).sum()),
        (1, lambda: cupy.add(x, 1, out=x)),
        (1, lambda: x.__imul__(1)),
        (1, lambda: x.fill(1)),
        (1, lambda: x.__setitem__(0, 1)),
        (1, lambda: cupy.copyto(x, 2.0)),
        (1, lambda: cupy.zeros((2, 3))),
        (0, lambda: cupy.empty((2, 3))),
        (0, lambda: cupy.asarray(x)),
        (0, lambda: x.astype("float32", copy=False)),
        (1, lambda: x.astype("float64")),
        (1, lambda: x.copy()),
        (0, lambda: cupy.result_type(x, "float64")),
    ):
        with count() as outer, count() as inner:
            call()
        assert inner.launches == outer.launches == launches, inspect.getsource(call)
    with count() as c:
        x[0] += 1  # the addition writes into the view: storing it back is nothing more
    assert c.launches == 1


def test_what_one_call_hides(x: Any) -> None:
    i, j, cube = on_gpu([0, 1], "int64"), on_gpu([2, 1], "int64"), cupy.ones((2, 3, 4), "float32")
    strided, many = cupy.ones((4, 6))[::2, ::2], [x[:, k % 2 :] for k in range(9)]
    pair, matrix, ones = on_gpu([1, 2]), cupy.ones((4, 2)), cupy.ones((3, 2))
    strided_out = cupy.empty((2, 4), "float32")[:, ::2]
    window = cupy.lib.stride_tricks.sliding_window_view
    for launches, uploads, call in (
        (2, 0, lambda: x.mean()),
        (3, 0, lambda: x.var(axis=0)),
        (4, 0, lambda: cupy.std(x)),
        (2, 0, lambda: cupy.pad(x, ((0, 0), (1, 0)))),
        (4, 0, lambda: cupy.pad(x, ((1, 0), (1, 1)))),
        (3, 0, lambda: cupy.concatenate([x, x, x])),
        (8, 0, lambda: cupy.stack([x] * 8)),
        (1, 1, lambda: cupy.concatenate([x] * 9)),
        (1, 3, lambda: cupy.concatenate(many, axis=1)),
        (1, 0, lambda: x[:, j]),
        (4, 0, lambda: x[i, j]),  # zeros, an index of both, one more kernel
        (4, 0, lambda: x.__setitem__((i, j), pair)),
        (4, 1, lambda: x.__setitem__((i, j), 7)),
        (4, 1, lambda: cupy.add.at(x, (i, j), 1)),
        (1, 0, lambda: x @ x.T),
        (2, 0, lambda: strided @ ones),
        (3, 0, lambda: strided @ strided.T),
        (2, 0, lambda: x[0] @ x[1]),
        (1, 0, lambda: cube @ cube.reshape(2, 4, 3)),
        (2, 0, lambda: cube.mT @ cube),  # the left one is copied
        (4, 0, lambda: cube @ matrix),  # arrays of addresses, since one operand is broadcast
        (2, 0, lambda: cupy.matmul(x, x.T, out=strided_out)),
        (2, 1, lambda: window(x, (1, 2), axis=(0, 1))),
        (2, 0, lambda: cupy.add(x[:1], 1, out=x[:1])),  # another array of the same memory is copied first
        (1, 0, lambda: cupy.add(x, x, out=x)),
        (2, 0, lambda: x.__setitem__((slice(None), slice(1, None)), x[:, :-1])),
        (1, 0, lambda: x[:, ::2].get()),
        (0, 0, lambda: x.T.get()),
        (0, 1, lambda: cupy.asarray(np.ones(3))),
        (0, 0, lambda: cupy.asarray(x)),
    ):
        with count() as c:
            call()
        assert (c.launches, c.uploads) == (launches, uploads), inspect.getsource(call)


def test_transfers_and_waits_are_apart(x: Any) -> None:
    with count() as c:
        cupy.asarray(np.ones(3))
        x.get()
        cupy.cuda.Device().synchronize()
    assert (c.uploads, c.downloads, c.transfers, c.synchronisations) == (1, 1, 2, 2)
    with count() as c:
        cupy.lib.stride_tricks.sliding_window_view(x, 2, axis=1)
    assert (c.uploads, c.downloads, c.synchronisations) == (1, 2, 2)


def test_no_sync_refuses_every_wait(x: Any) -> None:
    s = x.sum()
    with no_sync():
        cupy.asarray(np.ones(3))
        cupy.where(x > 1, x, 0)
        for wait in (s.item, x.get, lambda: x[x > 2], lambda: bool(s > 0), lambda: cupy.nonzero(x), lambda: f"{s:.1f}"):
            with pytest.raises(Wait):
                wait()
    assert s.item() == 21


def test_every_wait_of_the_host_is_a_synchronisation(x: Any) -> None:
    s = x.sum()
    for synchronisations, call in (
        (0, lambda: (x + 1).sum()),
        (1, lambda: float(s)),
        (1, lambda: int(s)),
        (1, lambda: bool(s > 0)),
        (1, s.item),
        (1, x.get),
        (1, x.tolist),
        (1, lambda: cupy.asnumpy(x)),
        (1, lambda: repr(x)),
        (1, lambda: f"{s:.1f}"),
        (1, lambda: x[x > 2]),
        (1, lambda: x.__setitem__(x > 2, 0)),
        (1, lambda: cupy.nonzero(x)),
        (1, lambda: cupy.where(x > 1)),
        (0, lambda: cupy.where(x > 1, x, 0)),
        (0, lambda: cupy.allclose(x, x)),
    ):
        with count() as c:
            call()
        assert c.synchronisations == synchronisations, inspect.getsource(call)


def test_host_copies_are_copies(x: Any) -> None:
    a = np.ones(3)
    y = cupy.asarray(a)
    a[:] = 5
    y.get()[:] = 6
    assert y.tolist() == [1, 1, 1]
    assert cupy.array([x[0], x[1]]).tolist() == x.tolist()


# -- devices -----------------------------------------------------------------------------------------------------------


def test_devices_do_not_mix(x: Any) -> None:
    with cupy.cuda.Device(1):
        y = cupy.ones((2, 3), "float32")
        assert y.device.id == (y + 1).device.id == 1
        with pytest.raises(ValueError, match=r"device 0.*current device is 1"):
            x + y
        with pytest.raises(ValueError):
            x + 1  # an array of another device than the current one, even alone
        assert x.T.device.id == 0  # a view is no launch
        z = cupy.asarray(x)  # the way from one device to the other
        assert (z.device.id, z.tolist()) == (1, x.tolist())
        with pytest.raises(NotImplementedError):
            cupy.asarray(x[:, ::2])
    mixes = [lambda: x + y, lambda: x.__setitem__(0, y[0]), lambda: cupy.stack([x, y]), lambda: y.fill(0)]
    for mix in [*mixes, lambda: x.__iadd__(y), lambda: y[on_gpu([0], "int64")], lambda: x[y > 0]]:
        with pytest.raises(ValueError, match="current device"):
            mix()
    with pytest.raises(RuntimeError), cupy.cuda.Device(2):
        pass
    assert cupy.cuda.Device().id == 0


def test_every_thread_has_its_own_current_device() -> None:
    seen = []
    with cupy.cuda.Device(1):
        thread = threading.Thread(target=lambda: seen.append(cupy.cuda.Device().id))
        thread.start()
        thread.join()
    assert seen == [0]
