"""Memory that is used again."""

from __future__ import annotations

import copy
import pickle

import torch

from ner_elmo.nn.room import Room


def test_a_copy_of_a_room_is_empty() -> None:
    room = Room()
    room.give_back(room.take(torch.zeros(1), 1000, 1000))
    assert len(pickle.dumps(room)) < 200
    assert copy.deepcopy(room)._free == []


def test_what_was_given_back_is_taken_again_where_it_fits() -> None:
    room = Room()
    first = room.take(torch.zeros(1), 1000, 10)
    room.give_back(first)
    assert room.take(torch.zeros(1), 900, 10, torch.float32).data_ptr() == first.data_ptr()
    room.give_back(first)
    assert room.take(torch.zeros(1), 5, 10).data_ptr() != first.data_ptr()
