"""Training the autoencoder between pixels and latents, and the latents it makes.

Shape suffixes: N images, B batch, V views, C latent channels, h latent side, S image side.
"""

from typing import Any

import torch
from torch import Tensor
from torch.nn import functional

from models.painters.finetuning.configs import AutoencoderConfig
from models.vlp.configs import AugmentationConfig
from models.vlp.images import as_input, random_views
from models.vlp.schedule import Purpose, batch_pairs, torch_random

ENCODE_BATCH = 32


class AutoencoderStage:
    """The autoencoder as a stage of training: absolute error of pixels and of their edges.

    Without edges a small autoencoder draws ribs as fog. Source of the Kullback-Leibler term:
    Rombach et al. 2022, appendix G, with its adversarial and perceptual terms left out.
    """

    name = "autoencoder"

    def __init__(
        self,
        module: Any,
        config: AutoencoderConfig,
        images_N1SS: Tensor,
        augmentation: AugmentationConfig,
        seed: int,
    ) -> None:
        self.module, self.settings = module, config.training
        self.kl_weight, self.augmentation, self.seed = config.kl_weight, augmentation, seed
        self.images_N1SS = images_N1SS

    def loss(self, step: int) -> Tensor:
        """Loss of one batch of views, scalar."""
        count = len(self.images_N1SS)
        batch = batch_pairs(self.seed, count, min(self.settings.batch_size, count), step, step)[0]
        random = torch_random(self.seed, Purpose.IMAGE, step)
        images = as_input(self.images_N1SS[torch.from_numpy(batch)]).to(self.module.device)
        views = random_views(images, self.augmentation, random)
        posterior = self.module.encode(views).latent_dist
        noise = torch.randn(posterior.mean.shape, generator=random).to(views.device)
        painted = self.module.decode(posterior.mean + posterior.std * noise).sample
        loss: Tensor = _difference(painted, views) + self.kl_weight * posterior.kl().mean()
        return loss


def _difference(painted: Tensor, real: Tensor) -> Tensor:
    """Mean absolute error of pixels, of their vertical and of their horizontal differences."""
    edges = [functional.l1_loss(painted.diff(dim=axis), real.diff(dim=axis)) for axis in (2, 3)]
    return functional.l1_loss(painted, real) + edges[0] + edges[1]


@torch.no_grad()
def encode_views(
    module: Any,
    images_N1SS: Tensor,
    augmentation: AugmentationConfig,
    views_per_image: int,
    seed: int,
) -> Tensor:
    """Latents of some views of every image, float32 (V, N, C, h, h) on the CPU.

    Args:
        module: The trained autoencoder, in evaluation mode.
        images_N1SS: Grey levels, uint8.
        augmentation: Of the views.
        views_per_image: V.
        seed: Of the views.
    """
    passes = []
    for view in range(views_per_image):
        random = torch_random(seed, Purpose.IMAGE, view)
        chunks = [
            module.encode(_channels(module, random_views(as_input(chunk), augmentation, random)))
            for chunk in torch.split(images_N1SS, ENCODE_BATCH)
        ]
        passes.append(torch.cat([chunk.latent_dist.mean.float().cpu() for chunk in chunks]))
    factor: float = module.config["scaling_factor"]
    return torch.stack(passes) * factor


def _channels(module: Any, views_B1SS: Tensor) -> Tensor:
    """Grey repeated for an autoencoder of colour photographs, on its device and in its type."""
    channels = module.config["in_channels"]
    return views_B1SS.expand(-1, channels, -1, -1).to(module.device, module.dtype)


@torch.no_grad()
def whiten(module: Any, latents_VNChh: Tensor) -> Tensor:
    """Give latents zero mean and unit variance per channel, by the 1 x 1 convolutions around them.

    What is decoded stays the same. Stable Diffusion's pipeline knows one factor for all channels
    and no shift, so the autoencoder itself must bring both.

    Args:
        module: The autoencoder, changed in place.
        latents_VNChh: What it makes of the training images now.

    Returns:
        What it makes of them from now on.
    """
    shift_C, scale_C = latents_VNChh.mean(dim=(0, 1, 3, 4)), latents_VNChh.std(dim=(0, 1, 3, 4))
    channels = len(shift_C)
    encoder, decoder = module.quant_conv, module.post_quant_conv
    shift, scale = shift_C.to(module.device), scale_C.to(module.device)
    decoder.bias += decoder.weight[:, :, 0, 0] @ shift
    decoder.weight *= scale.view(1, -1, 1, 1)
    encoder.weight[:channels] /= scale.view(-1, 1, 1, 1)
    encoder.bias[:channels] = (encoder.bias[:channels] - shift) / scale
    encoder.bias[channels:] -= 2 * scale.log()  # the second half is the log variance
    return (latents_VNChh - shift_C.view(-1, 1, 1)) / scale_C.view(-1, 1, 1)
