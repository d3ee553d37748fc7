"""The device that tests compute on."""

from __future__ import annotations

import torch

CPU = torch.device("cpu")
