"""Worlds of latent attributes: pretraining leaves an ability that few examples bring out."""

from augury.lab.latent.ladder import latent_ladder
from augury.lab.latent.run import latent_run
from augury.lab.latent.text import LatentText
from augury.lab.latent.world import WORLDS, LatentWorld, latent_world

__all__ = ["WORLDS", "LatentText", "LatentWorld", "latent_ladder", "latent_run", "latent_world"]
