import torch

from models.painters.finetuning.autoencoder import encode_views, whiten
from models.painters.finetuning.configs import CROPS, FinetuningConfig
from models.painters.finetuning.data import TrainingSet
from models.painters.finetuning.networks import open_networks


def test_whiten_makes_latents_standard_and_paints_the_same(
    tiny_config: FinetuningConfig, training_set: TrainingSet
) -> None:
    module = open_networks(tiny_config, training_set.subjects).autoencoder.eval()
    images = training_set.images_N1SS
    latents = encode_views(module, images, CROPS, views_per_image=2, seed=3)
    with torch.no_grad():
        before = module.decode(latents[0]).sample
    standard = whiten(module, latents)
    whitened = encode_views(module, images, CROPS, views_per_image=2, seed=3)
    assert whitened.shape == (2, 24, 4, 16, 16)
    torch.testing.assert_close(whitened, standard, atol=1e-4, rtol=1e-4)
    torch.testing.assert_close(whitened.mean(dim=(0, 1, 3, 4)), torch.zeros(4), atol=1e-4, rtol=0)
    torch.testing.assert_close(whitened.std(dim=(0, 1, 3, 4)), torch.ones(4), atol=1e-4, rtol=0)
    with torch.no_grad():
        torch.testing.assert_close(module.decode(whitened[0]).sample, before, atol=1e-4, rtol=1e-4)


def test_encode_views_differ_by_view_and_repeat_by_seed(
    tiny_config: FinetuningConfig, training_set: TrainingSet
) -> None:
    module = open_networks(tiny_config, training_set.subjects).autoencoder.eval()
    first, again, other = (
        encode_views(module, training_set.images_N1SS, CROPS, 2, seed) for seed in (3, 3, 4)
    )
    assert torch.equal(first, again)
    assert not torch.equal(first, other)
    assert not torch.equal(first[0], first[1])
