"""Every system is trained by one trainer, with small random networks and the real path."""

import json
import pickle
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from builders.short_film import write_film
from builders.small_tiny import SYSTEM, short_settings
from builders.tiny_cinemo import TINY_CINEMO, write_tiny_cinemo
from builders.tiny_networks import (
    TINY,
    TINY_MAGIC,
    write_tiny_magic_weights,
    write_tiny_weights,
)
from safetensors.torch import load_file

from animcli.errors import InputError, ProjectError, WeightsError
from animcli.rendering.loading import load_autoencoder
from animcli.training.animate_anyone import AnimateAnyoneAdapter
from animcli.training.cinemo import CinemoAdapter
from animcli.training.drawn import TRAINING_SEEDS, DrawnPeople
from animcli.training.magic_animate import MagicAnimateAdapter
from animcli.training.report import write_report
from animcli.training.run import SYSTEMS, Made, SampleEncoder, TrainingRun
from animcli.training.samples import SampleSchedule, TrainingSource
from animcli.training.settings import DEFAULTS, RunSettings
from animcli.training.systems import StageName, SystemAdapter
from animcli.training.trainer import Progress

SMALL: Mapping[str, SystemAdapter] = {
    "animate-anyone": AnimateAnyoneAdapter(TINY.config),
    "magic-animate": MagicAnimateAdapter(TINY_MAGIC.unet, TINY_MAGIC.condition_channels),
    "cinemo": CinemoAdapter(TINY_CINEMO.unet, TINY_CINEMO.motion_embed_dim),
    "tiny": SYSTEM,
}
FILES = {
    ("animate-anyone", "1"): {
        "denoising_unet.safetensors", "reference_unet.safetensors",
        "pose_guider.safetensors",
    },
    ("animate-anyone", "2"): {"motion_module.safetensors"},
    ("magic-animate", "1"): {
        "appearance_encoder/diffusion_pytorch_model.safetensors",
        "densepose_controlnet/diffusion_pytorch_model.safetensors",
    },
    ("magic-animate", "2"): {"temporal_attention.safetensors"},
    ("cinemo", "1"): {"unet/diffusion_pytorch_model.safetensors"},
    ("tiny", "autoencoder"): {"vae/diffusion_pytorch_model.safetensors"},
    ("tiny", "1"): {
        "denoising_unet.safetensors", "reference_unet.safetensors",
        "pose_guider.safetensors", "image_token.safetensors",
    },
    ("tiny", "2"): {"motion_module.safetensors"},
}  # fmt: skip

pytestmark = pytest.mark.filterwarnings("ignore:__array__ implement:DeprecationWarning")


@pytest.fixture(scope="module")
def weights(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    root = tmp_path_factory.mktemp("weights")
    return (
        write_tiny_weights(root / "aa")
        | write_tiny_magic_weights(root / "ma")
        | write_tiny_cinemo(root / "cinemo")
    )


@pytest.fixture(scope="module")
def film(tmp_path_factory: pytest.TempPathFactory) -> TrainingSource:
    return write_film(tmp_path_factory.mktemp("film"))


class KilledError(Exception):
    """In the place of a kill."""


def die_at(step: int) -> Progress:
    """A progress line at which a stage dies, before that update is saved."""

    def progress(task: str, done: int, total: int) -> None:
        if task.startswith("training") and done == step:
            raise KilledError

    return progress


def known(system: str, film: TrainingSource) -> tuple[TrainingSource, ...]:
    """Sources, with what the system takes of a film."""
    if system == "tiny":
        return ()
    lacking = {
        "animate-anyone": {"densepose": None},
        "magic-animate": {"pose": None},
        "cinemo": {"pose": None, "densepose": None},
    }[system]
    return (replace(film, **lacking),)


def short(name: str) -> RunSettings:
    """Three updates of each stage, on samples of a few small frames."""
    if name == "tiny":
        return short_settings()
    usual = DEFAULTS[name]

    def change(stage: object, frames: int) -> object:
        trainer = replace(
            stage.trainer, updates=3, learning_rate=1e-3, save_every=1, evaluate_every=2,
            ema_decay=0.9,
        )  # fmt: skip
        recipe = replace(
            stage.recipe, batch=2, frames=frames, dropped=0.4, evaluated=2, steps=2
        )
        return replace(stage, trainer=trainer, recipe=recipe)

    second = usual.second and change(usual.second, 4)
    return replace(
        usual,
        first=change(usual.first, 4 if second is None else 1),
        second=second,
        data=replace(
            usual.data, width=32, height=40, samples=3, targets=2, frames=4, every=1,
            every_most=2, validation=2,
        ),
    )  # fmt: skip


def no_report(folder: Path, curve: object, found: object) -> None:
    """In the place of pictures, most of whose time matplotlib takes."""


def run_of(
    name: str,
    folder: Path,
    weights: Mapping[str, Path],
    film: TrainingSource,
    progress: Progress = lambda task, done, total: None,
    **changes: object,
) -> TrainingRun:
    entries: Callable[[str], Path] = weights.__getitem__
    made = TrainingRun(
        folder,
        short(name),
        SMALL[name],
        known(name, film),
        (),
        entries,
        progress=progress,
        show=no_report,
    )
    return replace(made, **changes)


@pytest.mark.parametrize(
    "name",
    [
        "tiny",
        "cinemo",
        # Seven seconds each, of the loop that those above and below it go through.
        pytest.param("animate-anyone", marks=pytest.mark.slow),
        pytest.param("magic-animate", marks=pytest.mark.slow),
    ],
)
def test_stages_leave_what_renderers_load_and_survive_a_kill(
    name: str, tmp_path: Path, weights: dict[str, Path], film: TrainingSource
) -> None:
    whole = run_of(name, tmp_path / "whole", weights, film, show=write_report)
    mortal = run_of(name, tmp_path / "broken", weights, film, die_at(2))
    resumed = run_of(name, tmp_path / "broken", weights, film)
    stages: list[StageName] = [stage for system, stage in FILES if system == name]
    assert stages == list(whole.settings.updates())
    for stage in stages:
        assert whole.stage(stage)
        with pytest.raises(KilledError):
            mortal.stage(stage)
        assert resumed.stage(stage)
        for file in FILES[name, stage]:
            there = load_file(tmp_path / "whole" / file)
            here = load_file(tmp_path / "broken" / file)
            torch.testing.assert_close(there, here, rtol=0, atol=0)
            if name != "tiny":
                before = load_file(weights[name] / file)
                assert there.keys() <= before.keys()
                assert any(not torch.equal(there[key], before[key]) for key in there)
        rows = (tmp_path / "whole" / stage / "curve.jsonl").read_text().splitlines()
        curve = [json.loads(row) for row in rows]
        assert [row["updates"] for row in curve] == [2, 3]
        figures = {"psnr", "ssim"} if stage == "autoencoder" else {"psnr_2", "ssim_2"}
        assert {"loss", *figures} <= curve[-1].keys()
        for picture in ("sheet.png", "curve.png"):
            assert (tmp_path / "whole" / stage / picture).is_file()
    if name == "tiny":
        config = json.loads((tmp_path / "whole" / "config.json").read_text())
        assert config["unet"]["motion"]["max_frames"] == 8


def test_a_stage_that_is_done_is_not_trained_again(
    tmp_path: Path, weights: dict[str, Path], film: TrainingSource
) -> None:
    run = run_of("animate-anyone", tmp_path, weights, film, show=write_report)
    run.stage("1")
    before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    again = replace(run, progress=die_at(1))
    assert again.stage("1")
    after = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
    assert after == before


def test_stage_two_leaves_frames_as_they_were(
    tmp_path: Path, weights: dict[str, Path], film: TrainingSource
) -> None:
    run = run_of("animate-anyone", tmp_path, weights, film)
    with pytest.raises(WeightsError, match=r"denoising_unet\.safetensors isn't there"):
        run.stage("2")
    run.stage("1")
    spatial = {n: (tmp_path / n).read_bytes() for n in FILES["animate-anyone", "1"]}
    run.stage("2")
    assert spatial == {n: (tmp_path / n).read_bytes() for n in spatial}


def test_a_system_has_the_stages_of_its_settings(
    tmp_path: Path, weights: dict[str, Path], film: TrainingSource
) -> None:
    with pytest.raises(ProjectError, match="animate-anyone has no stage autoencoder"):
        run_of("animate-anyone", tmp_path, weights, film).stage("autoencoder")
    with pytest.raises(ProjectError, match="cinemo has no stage 2"):
        run_of("cinemo", tmp_path, weights, film).stage("2")


def test_pictures_join_the_videos(
    tmp_path: Path, weights: dict[str, Path], film: TrainingSource
) -> None:
    picture = TrainingSource(film.footage / "03.png", densepose=film.densepose / "03.png")
    videos = tmp_path / "videos"
    alone = run_of("magic-animate", videos, weights, film, show=write_report)
    shares = replace(alone.settings.first.shares, single_pictures=0.5)
    settings = replace(alone.settings, first=replace(alone.settings.first, shares=shares))
    with pytest.raises(ProjectError, match="the data holds no picture"):
        replace(alone, settings=settings).stage("1")
    joint = replace(
        alone, folder=tmp_path / "joint", settings=settings, pictures=(picture,)
    )
    joint.stage("1")
    kept = load_file(tmp_path / "joint" / "pictures" / "000000.safetensors")
    # It is its own reference.
    torch.testing.assert_close(kept["latents"][0], kept["reference"], rtol=0, atol=0)
    assert (tmp_path / "joint" / "1" / "sheet.png").is_file()


def test_the_last_video_is_kept_for_validation(
    tmp_path: Path, weights: dict[str, Path], film: TrainingSource
) -> None:
    gone = replace(known("cinemo", film)[0], footage=tmp_path / "gone.mp4")
    run = run_of("cinemo", tmp_path, weights, film)
    both = replace(run, sources=(*run.sources, gone))
    with pytest.raises(InputError, match=r"gone\.mp4"):
        both.stage("1")
    assert len(list((tmp_path / "samples-1").glob("*.safetensors"))) == 3
    assert not list((tmp_path / "validation-1").glob("*.safetensors"))


# Samples that are prepared along the way.


@pytest.fixture(scope="module")
def begun(
    tmp_path_factory: pytest.TempPathFactory, weights: dict[str, Path], film: TrainingSource
) -> TrainingRun:
    """A run of tiny with an autoencoder."""
    run = run_of("tiny", tmp_path_factory.mktemp("begun"), weights, film)
    run.stage("autoencoder")
    return run


def beginning(begun: TrainingRun, folder: Path) -> TrainingRun:
    """The same in another folder, so that each test has its own."""
    for name in ("config.json", "diffusion_pytorch_model.safetensors"):
        (folder / "vae").mkdir(parents=True, exist_ok=True)
        (folder / "vae" / name).write_bytes((begun.folder / "vae" / name).read_bytes())
    return replace(begun, folder=folder)


def with_first(run: TrainingRun, **changes: object) -> TrainingRun:
    first = replace(run.settings.first, **changes)
    return replace(run, settings=replace(run.settings, first=first))


def test_samples_prepared_along_the_way_are_those_prepared_before(
    begun: TrainingRun, tmp_path: Path
) -> None:
    along = beginning(begun, tmp_path / "along")
    counts: dict[int, int] = {}

    def count(task: str, done: int, total: int) -> None:
        if task == "training 1":
            files = (along.folder / "samples-1").glob("*.safetensors")
            counts[done] = sum(1 for _ in files)

    assert replace(along, progress=count).stage("1")
    assert counts[1] == 2
    before = with_first(
        beginning(begun, tmp_path / "before"), sample_schedule=SampleSchedule()
    )
    with pytest.raises(KilledError):
        replace(before, progress=die_at(1)).stage("1")
    there, here = (
        {path.name: path.read_bytes() for path in (run.folder / "samples-1").iterdir()}
        for run in (before, along)
    )
    assert len(there) == 4
    assert 2 < len(here) <= 4
    assert here.items() <= there.items()


def test_a_worker_process_prepares_the_same_samples(
    begun: TrainingRun, tmp_path: Path
) -> None:
    folders = tmp_path / "alone", tmp_path / "helped"
    for folder, workers in zip(folders, (0, 1), strict=True):
        run = beginning(begun, folder)
        trainer = replace(run.settings.first.trainer, workers=workers)
        with_first(run, trainer=trainer).stage("1")
    for file in FILES["tiny", "1"]:
        there, here = (load_file(folder / file) for folder in folders)
        torch.testing.assert_close(there, here, rtol=0, atol=0)


def test_what_prepares_samples_can_be_sent_to_another_process(
    begun: TrainingRun, tmp_path: Path
) -> None:
    vae = load_autoencoder(begun.folder / "vae", torch.device("cpu"), torch.float32)
    embed = begun.system.embeddings(begun.entries, torch.device("cpu"))
    people = DrawnPeople(TRAINING_SEEDS, (64, 64), 2)
    made = Made(SampleEncoder(vae, embed), people)
    torch.testing.assert_close(pickle.loads(pickle.dumps(made))(3), made(3))


def test_systems_with_encoders_prepare_all_samples_before(
    tmp_path: Path, weights: dict[str, Path], film: TrainingSource
) -> None:
    run = run_of("animate-anyone", tmp_path, weights, film, die_at(1))
    growing = with_first(run, sample_schedule=SampleSchedule(first_samples=1))
    with pytest.raises(KilledError):
        growing.stage("1")
    assert len(list((tmp_path / "samples-1").iterdir())) == 3


def test_samples_of_drawn_people_hold_what_tiny_is_led_by(
    begun: TrainingRun, tmp_path: Path
) -> None:
    run = beginning(begun, tmp_path)
    with pytest.raises(KilledError):
        replace(run, progress=die_at(1)).stage("1")
    kept = load_file(tmp_path / "samples-1" / "000000.safetensors")
    assert {name: tuple(each.shape) for name, each in kept.items()} == {
        "latents": (3, 32, 8, 8), "reference": (32, 8, 8), "masks": (3, 1, 8, 8),
        "keypoints": (3, 18, 3), "reference_keypoints": (18, 3),
    }  # fmt: skip
    assert kept["masks"].max() > 128
    # Latents have a deviation of about 1 over all samples of validation.
    assert 0.2 < kept["latents"][:, :16].float().std() < 5


def test_tiny_learns_from_videos_too(
    begun: TrainingRun, tmp_path: Path, film: TrainingSource
) -> None:
    run = beginning(begun, tmp_path)
    data = replace(run.settings.data, width=32, height=40, every=1, every_most=2)
    filmed = replace(
        run,
        settings=replace(run.settings, data=data),
        sources=(replace(film, densepose=None),),
    )
    assert filmed.stage("1")
    assert filmed.stage("2")
    kept = load_file(tmp_path / "samples-2" / "000000.safetensors")
    assert kept["keypoints"].shape == (4, 18, 3)
    assert "masks" not in kept


def test_minutes_end_a_stage_before_it_is_done(begun: TrainingRun, tmp_path: Path) -> None:
    run = beginning(begun, tmp_path)
    trainer = replace(run.settings.first.trainer, minutes=1e-9)
    assert not with_first(run, trainer=trainer).stage("1")
    assert torch.load(tmp_path / "1" / "checkpoint.pt", weights_only=True)["step"] == 1
    assert (tmp_path / "denoising_unet.safetensors").is_file()  # to look at
    assert run.stage("1")


def test_tiny_wants_its_autoencoder_first(
    tmp_path: Path, weights: dict[str, Path], film: TrainingSource
) -> None:
    run = run_of("tiny", tmp_path, weights, film)
    with pytest.raises(WeightsError, match=r"vae isn't there"):
        run.stage("1")


def only_decoder(run: TrainingRun) -> TrainingRun:
    stage = run.settings.autoencoder
    assert stage is not None
    stage = replace(stage, recipe=replace(stage.recipe, decoder_only=True))
    return replace(run, settings=replace(run.settings, autoencoder=stage))


def test_training_the_decoder_alone_leaves_the_encoders_bits(
    begun: TrainingRun, tmp_path: Path
) -> None:
    run = only_decoder(beginning(begun, tmp_path))
    file = tmp_path / "vae" / "diffusion_pytorch_model.safetensors"
    config = (tmp_path / "vae" / "config.json").read_text()
    before = load_file(file)
    assert run.stage("autoencoder")
    after = load_file(file)
    assert before.keys() == after.keys()
    changed = {
        name.partition(".")[0]
        for name, each in after.items()
        if not torch.equal(each, before[name])
    }
    assert changed == {"decoder", "post_quant_conv"}
    # So prepared samples and their scale are still right.
    assert (tmp_path / "vae" / "config.json").read_text() == config


def test_the_decoder_alone_wants_an_encoder(
    tmp_path: Path, weights: dict[str, Path], film: TrainingSource
) -> None:
    run = only_decoder(run_of("tiny", tmp_path, weights, film))
    with pytest.raises(WeightsError, match=r"vae isn't there"):
        run.stage("autoencoder")


def test_latents_of_the_autoencoder_are_scaled_to_a_deviation_of_one(
    begun: TrainingRun,
) -> None:
    config = json.loads((begun.folder / "vae" / "config.json").read_text())
    rows = (begun.folder / "autoencoder" / "curve.jsonl").read_text().splitlines()
    deviation = json.loads(rows[-1])["latent_deviation"]
    assert config["scaling_factor"] == pytest.approx(1 / deviation, rel=1e-6)


def test_adapters_of_the_product_have_the_published_shapes() -> None:
    assert SYSTEMS.keys() == DEFAULTS.keys() == SMALL.keys()
    published = SYSTEMS["animate-anyone"]
    assert isinstance(published, AnimateAnyoneAdapter)
    assert published.config.unet.block_channels == (320, 640, 1280, 1280)
    assert published.entries("published") == (
        "animate-anyone", "sd-vae-ft-mse", "clip-image-encoder",
    )  # fmt: skip
    assert SYSTEMS["tiny"].entries("nothing") == ()
