"""What both stages need before they start."""

import pytest
import torch

from utils import recipes, setup
from utils.errors import UserError


@pytest.mark.parametrize("name", ["cifar100", "CIFAR-100"])
def test_the_data_set_that_is_learned_is_no_unlabelled_set(name, tmp_path):
    settings = recipes.settings(unlabeled=name, data_root=str(tmp_path))
    with pytest.raises(UserError, match="is the data set that is learned"):
        setup.unlabelled_images(settings, torch.device("cpu"))
