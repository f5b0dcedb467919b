"""The profile of a block: every operation once, its own time alone, and nothing left behind.

Time is that of a clock which only the tests move, so sums are exact.
"""

from __future__ import annotations

import inspect
import json
import sys
import threading
import weakref
from collections import Counter
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from strict_cupy.counting import count

import minigen
from minigen import Tensor, backend, models, nn, ops, optim, train
from minigen.autograd import Primitive, primitive
from minigen.autograd.modes import MODE, timed
from minigen.profile import OUTSIDE, Profile

profile_file = sys.modules["minigen.profile"]


class Clock:
    """`perf_counter`, in seconds that pass when a test says so."""

    now = 0.0

    def passes(self, seconds: float) -> None:
        self.now += seconds

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    monkeypatch.setattr(profile_file, "perf_counter", result := Clock())
    return result


@pytest.fixture
def slow(clock: Clock) -> Primitive:
    """The identity, which takes 2 seconds, with a derivative that takes 3."""

    @primitive
    def slow(x: Any) -> Any:
        clock.passes(2)
        return x * 1.0

    def derivative(g: Any) -> Any:
        clock.passes(3)
        return g * 1.0

    slow.derivatives(x=derivative)
    return slow


def leaf(*values: float) -> Tensor:
    return minigen.tensor(list(values), requires_grad=True)


def own_times(p: Profile) -> dict[tuple[str, str], float]:
    times: Counter = Counter()
    for event in p.events:
        times[event.name, event.phase] += event.own
    return dict(times)


def this_line() -> str:
    frame = inspect.currentframe().f_back  # type: ignore[union-attr]
    return f"test_profile.py:{frame.f_lineno}"  # type: ignore[union-attr]


# -- times -------------------------------------------------------------------------------------------------------------


def test_times_are_those_of_the_operations_and_the_rest_is_outside(clock: Clock, slow: Primitive) -> None:
    with minigen.profile() as p:
        y = slow(slow(leaf(1.0)))
        clock.passes(7)
        y.backward()
    assert own_times(p) == {("slow", "forward"): 4, ("slow", "backward"): 6, (OUTSIDE, ""): 7}
    assert p.seconds == 17
    assert [" ".join(line.split()) for line in str(p).splitlines()] == [
        "calls forward ms backward ms total ms share",
        "slow 2 4000.00 6000.00 10000.00 58.8 %",
        f"{OUTSIDE} 7000.00 41.2 %",
        "total 2 4000.00 6000.00 17000.00 100.0 %",
    ]


def test_an_operation_called_on_arrays_is_a_part_of_the_one_that_calls_it(clock: Clock, slow: Primitive) -> None:
    @primitive
    def twice(x: Any) -> Any:
        clock.passes(1)
        return slow(slow(x))

    twice.derivatives(x=lambda g: slow(g))
    with minigen.profile() as p:
        twice(leaf(1.0)).backward()
    assert own_times(p) == {("twice", "forward"): 5, ("twice", "backward"): 2, (OUTSIDE, ""): 0}


def test_an_operation_called_on_tensors_has_its_own_time(clock: Clock, slow: Primitive) -> None:
    """In a derivative under `create_graph`, which is then recorded."""

    @primitive
    def double(x: Any) -> Any:
        return x * 2.0

    def derivative(g: Any) -> Any:
        clock.passes(5)
        return slow(g)

    double.derivatives(x=derivative)
    x = leaf(1.0)
    with minigen.profile() as p:
        minigen.grad(double(x), x, create_graph=True)
    assert own_times(p) == {
        ("double", "forward"): 0,
        ("double", "backward"): 5,
        ("slow", "forward"): 2,
        (OUTSIDE, ""): 0,
    }
    (outer,) = [event for event in p.events if event.phase == "backward"]
    assert outer.length == 7


def test_the_optimizer_has_a_line(clock: Clock) -> None:
    class Slow(optim.SGD):
        def update(self, *arguments: Any) -> None:
            clock.passes(11)

    layer = nn.Linear(2, 2)
    optimizer = Slow(layer.parameters(), lr=0.1)
    ops.sum(layer(minigen.randn(1, 2))).backward()
    with minigen.profile() as p:
        optimizer.step()
    assert own_times(p) == {("optimizer", ""): 22, (OUTSIDE, ""): 0}
    assert p.rows()[0].calls == 1


def test_what_the_profile_itself_takes_is_not_there(
    clock: Clock, slow: Primitive, monkeypatch: pytest.MonkeyPatch
) -> None:
    line = profile_file._calling_line
    monkeypatch.setattr(profile_file, "_calling_line", lambda: (clock.passes(100), line())[1])
    with minigen.profile() as p:
        clock.passes(1)
        slow(leaf(1.0)).backward()
    assert p.seconds == 6 and sum(own_times(p).values()) == 6


def test_a_block_that_fails_in_an_operation(clock: Clock, slow: Primitive) -> None:
    with pytest.raises(ValueError), minigen.profile() as p:
        try:
            clock.passes(1)
            ops.matmul(leaf(1.0), leaf(1.0, 2.0))
        except ValueError:
            slow(leaf(1.0))
        raise ValueError
    assert own_times(p) == {("matmul", "forward"): 0, ("slow", "forward"): 2, (OUTSIDE, ""): 1}
    assert MODE.get().profile is None


def test_a_derivative_that_fails(clock: Clock, slow: Primitive) -> None:
    @primitive
    def failing(x: Any) -> Any:
        return x * 1.0

    failing.derivatives(x=lambda g: 1 / 0)
    with minigen.profile() as p:
        with pytest.raises(ZeroDivisionError):
            failing(leaf(1.0)).backward()
        slow(leaf(1.0)).backward()
    assert own_times(p)["slow", "backward"] == 3 and p.seconds == 5


# -- calls, lines and memory -------------------------------------------------------------------------------------------


def example(name: str) -> Any:
    """A training step of a small model."""
    size, adam = (1, 8, 8), lambda module: optim.Adam(module.parameters())
    if name == "dcgan":
        gan = models.DCGAN(size, 3, 2)
        game = train.Game(gan, {name: adam(player.module) for name, player in gan.players().items()})
        return lambda: game(minigen.rand(4, *size))
    model = {"vae": models.VAE, "pixelcnn": models.PixelCNN, "pixelrnn": models.PixelRNN}[name](size, hidden=2)
    images = Tensor(np.random.default_rng(0).integers(0, 2, (3, *size)))
    return lambda: train.MaximumLikelihood(model, adam(model))(images)


@pytest.mark.parametrize("name", ["vae", "dcgan", "pixelcnn", "pixelrnn"])
def test_every_operation_once(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    step, calls, nodes = example(name), Counter(), []
    record, derivatives = Primitive._record, minigen.autograd.tape._argument_gradients

    def counted(self: Any, *arguments: Any) -> Any:
        calls[self.name] += 1
        return record(self, *arguments)

    def counted_backward(node: Any, *arguments: Any) -> Any:
        nodes.append(node.primitive.name)
        return derivatives(node, *arguments)

    monkeypatch.setattr(Primitive, "_record", counted)
    monkeypatch.setattr(minigen.autograd.tape, "_argument_gradients", counted_backward)
    with minigen.profile() as p:
        step()
    optimizers = 2 if name == "dcgan" else 1
    assert {row.name: row.calls for row in p.rows() if row.calls} == {**calls, "optimizer": optimizers}
    assert Counter(event.name for event in p.events if event.phase == "backward") == Counter(nodes)
    assert p.rows()[-1].name == OUTSIDE and all(event.own >= 0 for event in p.events)
    for by in ("operation", "line"):
        assert sum(row.seconds for row in p.rows(by)) == pytest.approx(p.seconds)
        assert sum(row.calls for row in p.rows(by)) == sum(calls.values()) + optimizers


@pytest.mark.parametrize("name", ["vae", "pixelcnn", "pixelrnn"])
def test_saved_memory_is_that_of_the_graph(name: str) -> None:
    model = {"vae": models.VAE, "pixelcnn": models.PixelCNN, "pixelrnn": models.PixelRNN}[name]((1, 8, 8), hidden=2)
    images = Tensor(np.random.default_rng(0).integers(0, 2, (3, 1, 8, 8)))
    with minigen.profile() as p:
        loss = model.loss(images)
    assert sum(row.bytes for row in p.rows()) == minigen.graph(loss, model).bytes > 0


def test_by_line_an_operation_counts_for_the_line_that_called_it_also_backward(clock: Clock, slow: Primitive) -> None:
    with minigen.profile() as p:
        y = slow(leaf(1.0)); first = this_line()  # fmt: skip  # noqa: E702
        y = slow(slow(y)); second = this_line()  # fmt: skip  # noqa: E702
        y.backward()
    rows = p.rows(by="line")
    assert [(row.calls, row.forward, row.backward) for row in rows] == [(2, 4, 6), (1, 2, 3), (0, 0, 0)]
    assert second in rows[0].name and first in rows[1].name and rows[2].name == OUTSIDE
    assert "y = slow(slow(y))" in p.table(by="line")


def test_by_line_layers_and_optimizers_count_for_the_line_that_uses_them() -> None:
    net = nn.Sequential(nn.Linear(2, 2), nn.ReLU())
    optimizer = optim.Adam(net.parameters())
    with minigen.profile() as p:
        y = net(minigen.randn(1, 2)); layers = this_line()  # fmt: skip  # noqa: E702
        total = y.sum(); method = this_line()  # fmt: skip  # noqa: E702
        total.backward()
        optimizer.step(); last = this_line()  # fmt: skip  # noqa: E702
    calls = {row.name.split("  ")[0].split("/")[-1]: row.calls for row in p.rows(by="line") if row.calls}
    assert calls == {layers: 2, method: 1, last: 1}


def test_a_record_from_before_the_block_counts_for_the_line_of_the_backward_pass(clock: Clock, slow: Primitive) -> None:
    y = slow(leaf(1.0))
    with minigen.profile() as p:
        y.backward(); line = this_line()  # fmt: skip  # noqa: E702
    (row, _) = p.rows(by="line")
    assert line in row.name and (row.calls, row.backward) == (0, 3)


# -- a GPU -------------------------------------------------------------------------------------------------------------


def test_on_a_gpu_it_waits_and_counts_launches(gpu_standin: backend.Device) -> None:
    with gpu_standin:
        layer, x = nn.Linear(3, 2), minigen.randn(4, 3)
        with count() as counts, minigen.profile(lambda: counts.launches) as p:
            ops.sum(layer(x)).backward()
            x.data + 1  # a launch outside of operations
        assert sum(row.launches for row in p.rows()) == counts.launches
        assert {row.name: row.launches for row in p.rows()}[OUTSIDE] >= 1
        assert counts.synchronisations == 2 * len(p.events) == 2 * (2 + 2 + 1)
        assert str(p).splitlines()[0].split()[-1] == "launches"
        with count() as counts:
            ops.sum(layer(x)).backward()
        assert counts.synchronisations == 0


def test_launches_of_an_operation_are_its_own(gpu_standin: backend.Device) -> None:
    launched = iter(range(0, 1000, 10))
    profile = Profile(lambda: next(launched))
    with profile.measured("outer"), profile.measured("inner"):
        pass
    assert [(event.name, event.launches) for event in profile.events] == [("inner", 10), ("outer", 20)]


# -- what it leaves behind ---------------------------------------------------------------------------------------------


def test_nothing_is_measured_outside_of_the_block_nor_in_other_threads(slow: Primitive) -> None:
    slow(leaf(1.0))
    with minigen.profile() as p:
        thread = threading.Thread(target=lambda: slow(leaf(1.0)).backward())
        thread.start()
        thread.join()
        with timed("mine"), minigen.no_grad():
            slow(leaf(1.0))
    slow(leaf(1.0)).backward()
    with timed("mine"):
        pass
    assert [event.name for event in p.events] == ["slow", "mine", OUTSIDE]


def test_threads_have_profiles_of_their_own() -> None:
    profiles = {}

    def work(name: str) -> None:
        with minigen.profile() as profiles[name]:
            started.wait(10)
            for _ in range(20):
                getattr(ops, name)(leaf(1.0))

    started = threading.Barrier(2)
    threads = [threading.Thread(target=work, args=[name]) for name in ("exp", "tanh")]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    for name, p in profiles.items():
        assert [event.name for event in p.events] == 20 * [name] + [OUTSIDE]


def test_of_two_profiles_the_inner_one_gets_the_operations(clock: Clock, slow: Primitive) -> None:
    with minigen.profile() as outer:
        slow(leaf(1.0))
        with minigen.profile() as inner:
            slow(leaf(1.0))
    assert own_times(inner) == {("slow", "forward"): 2, (OUTSIDE, ""): 0}
    assert own_times(outer) == {("slow", "forward"): 2, (OUTSIDE, ""): 2}


def test_it_keeps_no_array_alive(no_garbage_collector: None) -> None:
    with minigen.profile() as p:
        y = ops.tanh(leaf(1.0))
    ref = weakref.ref(y.data)
    del y
    assert ref() is None and p.rows()[0].bytes == 4


def test_an_array_of_the_same_address_counts_again() -> None:
    """As in a second step, whose arrays are often put where those of the first were."""
    x = minigen.tensor(np.ones(1000), dtype="float32", requires_grad=True)
    with minigen.profile() as p:
        for _ in range(5):
            ops.tanh(x)
    assert p.rows()[0].bytes == 5 * 4000


# -- the file ----------------------------------------------------------------------------------------------------------


def test_the_trace(tmp_path: Path, clock: Clock, slow: Primitive) -> None:
    clock.passes(50)
    with minigen.profile() as p:
        clock.passes(1)
        slow(leaf(1.0)).backward()
    p.save(tmp_path / "trace.json")
    events = json.loads((tmp_path / "trace.json").read_text())["traceEvents"]
    assert [(e["name"], e["ts"], e["dur"], e["ph"]) for e in events] == [
        ("slow forward", 1e6, 2e6, "X"),
        ("slow backward", 3e6, 3e6, "X"),
        (OUTSIDE, 0, 6e6, "X"),
    ]
    assert "test_profile.py:" in events[0]["args"]["line"]


def test_errors(tmp_path: Path) -> None:
    p = Profile()
    with pytest.raises(ValueError, match=r"profile\.save: expects a name that ends in \.json, got .*trace\.txt"):
        p.save(tmp_path / "trace.txt")
    with pytest.raises(ValueError, match='profile: expects by="operation" or by="line", got \'module\''):
        p.table(by="module")
    assert str(p).splitlines()[-1].split() == ["total"]  # of a profile in which nothing ran
