"""Checkpoints: whole or not at all, held to their check sums and to the shapes of what takes them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch
from torch import nn

from ner_elmo.errors import ModelError, NerElmoError
from ner_elmo.runs.checkpoints import (
    KEPT,
    Checkpoints,
    read_tensors,
    require_fit,
    require_optimizer_fit,
    write_tensors,
)

VALUES: dict[str, Any] = {"model": {"weight": torch.arange(600.0)}, "position": [1, 2], "best": 3.5, "nothing": None}


def messages(events: list[Any]) -> str:
    return "\n".join(event["message"] for event in events)


def test_the_newest_few_are_kept_and_the_newest_is_taken(tmp_path: Path) -> None:
    checkpoints = Checkpoints(tmp_path, "step", 3)
    for number in (5, 10, 100):
        assert checkpoints.save(number, VALUES | {"position": [number]}) == tmp_path / f"step-{number:03d}.pt"
    assert [file.name for file in checkpoints.files()] == ["step-100.pt", "step-010.pt"][:KEPT]
    taken: list[Any] = []
    assert checkpoints.resume(lambda values, path: taken.append((values["position"], path.name)), lambda event: None)
    assert taken == [([100], "step-100.pt")]


@pytest.mark.parametrize("place", range(0, 100, 7))
def test_one_bit_anywhere_in_the_values_is_noticed(tmp_path: Path, place: int) -> None:
    checkpoints, events = Checkpoints(tmp_path, "step", 3), list[Any]()
    for number in (1, 2):
        path = checkpoints.save(number, VALUES)
    data = bytearray(path.read_bytes())
    where = data.index(torch.arange(600.0).numpy().tobytes()) + 2400 * place // 100
    data[where] ^= 1
    path.write_bytes(data)
    taken: list[str] = []
    assert checkpoints.resume(lambda values, path: taken.append(path.name), events.append)
    assert taken == ["step-001.pt"]
    assert f"{path}: not a sound checkpoint (ValueError); trying the one before" in messages(events)


@pytest.mark.parametrize("damage", [b"", b"PK\x03\x04 but no more", None])
def test_without_a_sound_one_it_begins_anew_and_says_so(tmp_path: Path, damage: bytes | None) -> None:
    checkpoints, events = Checkpoints(tmp_path, "step", 3), list[Any]()
    path = checkpoints.save(1, VALUES)
    path.write_bytes(path.read_bytes()[:700] if damage is None else damage)
    assert not checkpoints.resume(lambda values, path: pytest.fail("taken"), events.append)
    assert "found no sound checkpoint; starting anew" in messages(events)


def test_what_the_caller_misses_counts_as_damage_and_what_it_refuses_does_not(tmp_path: Path) -> None:
    checkpoints, events = Checkpoints(tmp_path, "step", 3), list[Any]()
    checkpoints.save(1, VALUES)

    def refuse(values: dict[str, Any], path: Path) -> None:
        raise ModelError("another network")

    assert not checkpoints.resume(lambda values, path: values["optimizer"], events.append)
    assert "not a sound checkpoint (KeyError)" in messages(events)
    with pytest.raises(ModelError, match="another network"):
        checkpoints.resume(refuse, events.append)


def test_code_in_a_checkpoint_is_not_run(tmp_path: Path) -> None:
    class Trap:
        def __reduce__(self) -> Any:
            return (Path.touch, (tmp_path / "sprung",))

    torch.save({"model": Trap()}, tmp_path / "step-001.pt")
    assert not Checkpoints(tmp_path, "step", 3).resume(lambda values, path: None, lambda event: None)
    assert not (tmp_path / "sprung").exists()


def test_a_folder_that_cannot_be_written_to_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(NerElmoError, match=r"step-001\.pt: cannot be written"):
        write_tensors(VALUES, tmp_path / "file" / "step-001.pt")


def test_weights_of_another_shape_are_named(tmp_path: Path) -> None:
    layer = nn.Linear(3, 2)
    path = tmp_path / "step-001.pt"
    require_fit(path, layer, layer.state_dict(), "model")
    for state, message in (
        (nn.Linear(4, 2).state_dict(), r"model: weight: found \(2, 4\), expected shape \(2, 3\)"),
        ({"weight": layer.weight}, "model: found no bias"),
        (layer.state_dict() | {"more": layer.bias}, "model: found an unknown more"),
        (layer.state_dict() | {"bias": 1.0}, r"model: bias: found float, expected shape \(2,\)"),
    ):
        with pytest.raises(ModelError, match=message):
            require_fit(path, layer, state, "model")


def test_moments_of_another_shape_are_named(tmp_path: Path) -> None:
    def stepped(*sizes: int) -> torch.optim.Optimizer:
        parameters = [nn.Parameter(torch.ones(size)) for size in sizes]
        optimizer = torch.optim.Adam(parameters)
        for parameter in parameters:
            parameter.grad = torch.ones_like(parameter)
        optimizer.step()
        return optimizer

    path, optimizer = tmp_path / "step-001.pt", stepped(3, 4)
    require_optimizer_fit(path, optimizer, stepped(3, 4).state_dict())
    with pytest.raises(ModelError, match=r"exp_avg of parameter 1: found \(5,\), expected shape \(4,\)"):
        require_optimizer_fit(path, optimizer, stepped(3, 5).state_dict())
    with pytest.raises(ModelError, match="found other groups"):
        require_optimizer_fit(path, optimizer, stepped(3).state_dict())


def test_values_read_back(tmp_path: Path) -> None:
    write_tensors(VALUES, tmp_path / "x.pt")
    values = read_tensors(tmp_path / "x.pt")
    assert torch.equal(values.pop("model")["weight"], torch.arange(600.0))
    assert values == {name: value for name, value in VALUES.items() if name != "model"}
    torch.save([1], tmp_path / "list.pt")
    with pytest.raises(ValueError, match="found list, expected a dictionary"):
        read_tensors(tmp_path / "list.pt")
