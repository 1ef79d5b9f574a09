"""Training U-Net and text encoder to remove noise from latents, given a caption.

Shape suffixes: V views, N images, B batch, C latent channels, h latent side, L tokens, D width.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from models.painters.finetuning.captions import Subject, draw_caption
from models.painters.finetuning.configs import FinetuningConfig
from models.painters.finetuning.networks import Networks
from models.vlp.schedule import Purpose, batch_pairs, numpy_random, torch_random

UNKNOWN_SHARE = 0.05  # of words


class DenoiserStage:
    """U-Net and text encoder as a stage of training.

    Source: Salimans & Ho 2022 (velocity), Ho & Salimans 2022 (dropped text), Hang et al. 2023
    (min-SNR weights).
    """

    name = "denoiser"

    def __init__(
        self,
        networks: Networks,
        config: FinetuningConfig,
        latents_VNChh: Tensor,
        subjects: Sequence[Subject],
        precision: torch.dtype,
    ) -> None:
        self.networks, self.config, self.settings = networks, config, config.training
        self.latents_VNChh, self.subjects, self.precision = latents_VNChh, subjects, precision
        self.module = nn.ModuleDict({"unet": networks.unet, "text_encoder": networks.text_encoder})
        self.schedule = networks.noise_schedule()
        kinds = ("epsilon", "v_prediction")
        self.prediction = self.schedule.config["prediction_type"]
        if self.prediction not in kinds:
            raise ValueError(
                f"the pipeline's scheduler must predict one of {kinds}, got {self.prediction!r}; "
                "start from another pipeline"
            )

    def loss(self, step: int) -> Tensor:
        """Weighted squared error of one batch, scalar."""
        device = self.networks.unet.device
        random = torch_random(self.config.seed, Purpose.IMAGE, step)
        latents_BChh, ids_BL = self._batch(step, random)
        noise_BChh = torch.randn(latents_BChh.shape, generator=random)
        steps_B = torch.randint(
            self.schedule.config["num_train_timesteps"], (len(latents_BChh),), generator=random
        )
        noisy_BChh = self.schedule.add_noise(latents_BChh, noise_BChh, steps_B)
        target_BChh = noise_BChh
        if self.prediction == "v_prediction":
            target_BChh = self.schedule.get_velocity(latents_BChh, noise_BChh, steps_B)
        with torch.autocast(device.type, self.precision, enabled=self.precision != torch.float32):
            text_BLD = self.networks.text_encoder(ids_BL.to(device))[0]
            predicted = self.networks.unet(noisy_BChh.to(device), steps_B.to(device), text_BLD)
        error_BChh = (predicted.sample.float() - target_BChh.to(device)) ** 2
        weights_B = self._weights(steps_B).to(device)
        loss: Tensor = (error_BChh.mean(dim=(1, 2, 3)) * weights_B).mean()
        return loss

    def _batch(self, step: int, random: torch.Generator) -> tuple[Tensor, Tensor]:
        """Latents and token ids of a step: each image in one of its views, with a fresh caption."""
        count, seed = len(self.subjects), self.config.seed
        batch_size = min(self.settings.batch_size, count)
        batch = batch_pairs(seed, count, batch_size, step, step)[0]
        views_B = torch.randint(len(self.latents_VNChh), (len(batch),), generator=random)
        text_random = numpy_random(seed, Purpose.TEXT, step)
        captions = [draw_caption(self.subjects[index], text_random) for index in batch]
        dropped = text_random.random(len(batch)) < self.config.text_dropout
        texts = ["" if empty else text for text, empty in zip(captions, dropped, strict=True)]
        latents_BChh = self.latents_VNChh[views_B, torch.from_numpy(batch)]
        return latents_BChh, self._with_unknown_words(self.networks.token_ids(texts), random)

    def _with_unknown_words(self, ids_BL: Tensor, random: torch.Generator) -> Tensor:
        """Some words made unknown, so that a prompt's unknown words are nothing unheard of.

        A tokenizer of word pieces knows every word: its unknown token marks the end.
        """
        tokenizer = self.networks.tokenizer
        marks = (tokenizer.pad_token_id, tokenizer.bos_token_id, tokenizer.eos_token_id)
        if tokenizer.unk_token_id in marks:
            return ids_BL
        chosen_BL = torch.rand(ids_BL.shape, generator=random) < UNKNOWN_SHARE
        words_BL = ~torch.isin(ids_BL, torch.tensor(marks))
        return ids_BL.masked_fill(chosen_BL & words_BL, tokenizer.unk_token_id)

    def _weights(self, steps_B: Tensor) -> Tensor:
        """Of each sample's error: min(SNR, gamma), in the units of what is predicted.

        Source: Hang et al. 2023, eq. 8 and appendix; for the velocity, divided by SNR + 1.
        """
        if self.config.min_snr_gamma is None:
            return torch.ones(len(steps_B))
        kept_B: Tensor = self.schedule.alphas_cumprod[steps_B]
        ratio_B = kept_B / (1 - kept_B)
        clipped_B = ratio_B.clamp(max=self.config.min_snr_gamma)
        return clipped_B / (ratio_B + 1 if self.prediction == "v_prediction" else ratio_B)
