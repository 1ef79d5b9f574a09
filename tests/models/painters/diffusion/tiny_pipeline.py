"""A Stable Diffusion pipeline of random weights, saved as any checkpoint is: real parts, small."""

import string
from pathlib import Path

import torch
from diffusers import (
    AutoencoderKL,
    DDIMScheduler,
    StableDiffusionPipeline,
    UNet2DConditionModel,
)
from transformers import CLIPTextConfig, CLIPTextModel, CLIPTokenizer

START, END = "<|startoftext|>", "<|endoftext|>"
WORDS = (
    "no", "the", "and", "of", "is", "in", "left", "right", "lower", "upper", "lobe", "lung",
    "heart", "normal", "size", "small", "large", "pleural", "effusion", "pneumonia", "with",
)  # fmt: skip


def tiny_tokenizer(window: int) -> CLIPTokenizer:
    """A CLIP tokenizer that knows a few words whole and spells all others.

    Args:
        window: Tokens of the encoder's window, the two marks around the text included.
    """
    merges: list[tuple[str, str]] = []
    for word in WORDS:
        pieces = [*word[:-1], word[-1] + "</w>"]
        while len(pieces) > 1:
            if (pieces[0], pieces[1]) not in merges:
                merges.append((pieces[0], pieces[1]))
            pieces[:2] = [pieces[0] + pieces[1]]
    letters = string.ascii_lowercase + string.digits + string.punctuation
    tokens = [*letters, *(f"{letter}</w>" for letter in letters)]
    tokens += [first + second for first, second in merges]
    vocabulary = {token: n for n, token in enumerate([*dict.fromkeys(tokens), START, END])}
    return CLIPTokenizer(vocab=vocabulary, merges=merges, model_max_length=window)


def tiny_pipeline(window: int = 24, width: int = 16, seed: int = 0) -> StableDiffusionPipeline:
    """Random weights of a fixed seed; paints 64 px.

    Args:
        window: Tokens the text encoder sees.
        width: Channels of the U-Net's first level, a multiple of 8.
        seed: Of the weights.
    """
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        tokenizer = tiny_tokenizer(window)
        unet = UNet2DConditionModel(
            sample_size=16,
            block_out_channels=(width, 2 * width),
            layers_per_block=1,
            down_block_types=("DownBlock2D", "CrossAttnDownBlock2D"),
            up_block_types=("CrossAttnUpBlock2D", "UpBlock2D"),
            cross_attention_dim=32,
            attention_head_dim=8,
            norm_num_groups=8,
        )
        vae = AutoencoderKL(
            block_out_channels=(8, 16, 16),
            down_block_types=("DownEncoderBlock2D",) * 3,
            up_block_types=("UpDecoderBlock2D",) * 3,
            norm_num_groups=8,
            sample_size=64,
        )
        text_encoder = CLIPTextModel(
            CLIPTextConfig(
                vocab_size=len(tokenizer),
                hidden_size=32,
                intermediate_size=64,
                num_hidden_layers=2,
                num_attention_heads=2,
                max_position_embeddings=window,
                bos_token_id=tokenizer.bos_token_id,
                eos_token_id=tokenizer.eos_token_id,
            )
        )
    return StableDiffusionPipeline(
        vae=vae,
        text_encoder=text_encoder,
        tokenizer=tokenizer,
        unet=unet,
        scheduler=DDIMScheduler(beta_schedule="scaled_linear", clip_sample=False, steps_offset=1),
        safety_checker=None,
        feature_extractor=None,
        requires_safety_checker=False,
    )


def save_tiny_pipeline(folder: Path, window: int = 24) -> Path:
    """Write the pipeline as `save_pretrained` does; returns the folder."""
    tiny_pipeline(window).save_pretrained(folder)
    return folder
