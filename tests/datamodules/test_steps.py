import itertools
import pickle

import lightning
import pytest
import torch

from datamodules.batches.steps import PredictBatches, Share, StepBatchSampler, StepLoader
from datamodules.celebamask_hq import CelebAMaskHQ


def take(sampler, count):
    return list(itertools.islice(sampler, count))


def test_batch_of_a_step_does_not_depend_on_where_the_run_started():
    from_start = take(StepBatchSampler(23, 5, seed=7), 20)
    for start in (1, 4, 13):
        assert take(StepBatchSampler(23, 5, seed=7, start_step=start), 20 - start) == from_start[start:]


def test_an_epoch_shows_each_item_at_most_once_and_epochs_differ():
    epochs = [
        [draw.item for batch in take(StepBatchSampler(20, 5, seed=1, start_step=4 * e), 4) for draw in batch]
        for e in (0, 1)
    ]
    assert [sorted(epoch) for epoch in epochs] == [list(range(20))] * 2
    assert epochs[0] != epochs[1]


def test_seed_changes_order_and_flips_are_fair():
    draws = [draw for batch in take(StepBatchSampler(50, 10, seed=0), 1000) for draw in batch]
    assert 0.48 < sum(draw.flip for draw in draws) / len(draws) < 0.52  # 4 standard errors of 10,000 draws
    assert take(StepBatchSampler(50, 10, seed=1), 1) != take(StepBatchSampler(50, 10, seed=0), 1)
    assert not any(draw.flip for batch in take(StepBatchSampler(50, 10, seed=0, flip=False), 20) for draw in batch)


@pytest.mark.parametrize("world_size", [2, 4])
def test_processes_share_the_rows_of_the_same_batch(world_size):
    whole = StepBatchSampler(23, 8, seed=2)
    shares = [StepBatchSampler(23, 8, seed=2, rank=rank, world_size=world_size) for rank in range(world_size)]
    for step in (0, 1, 9):
        rows = [draw for share in shares for draw in share.draws(step)]
        assert sorted(rows) == sorted(whole.draws(step))
        assert len({draw.item for draw in rows}) == 8


def test_batches_larger_than_the_data_span_passes(caplog):
    sampler = StepBatchSampler(3, 7, seed=4)
    assert "3 training images: they repeat within a batch of 7" in caplog.text
    rows = [draw.item for step in range(3) for draw in sampler.draws(step)]
    passes = [rows[i : i + 3] for i in range(0, 21, 3)]
    assert [sorted(one) for one in passes] == [[0, 1, 2]] * 7
    assert len(set(map(tuple, passes))) > 1
    assert take(StepBatchSampler(3, 7, seed=4, start_step=2), 1) == [sampler.draws(2)]
    halves = [StepBatchSampler(3, 6, seed=4, rank=rank, world_size=2).draws(1) for rank in (0, 1)]
    assert sorted(halves[0] + halves[1]) == sorted(StepBatchSampler(3, 6, seed=4).draws(1))


def test_one_image_in_batches_of_one():
    assert [[draw.item for draw in batch] for batch in take(StepBatchSampler(1, 1), 3)] == [[0]] * 3


def test_a_batch_of_all_images_repeats_none(caplog):
    sampler = StepBatchSampler(6, 6, seed=3)
    assert caplog.text == ""
    passes = [[draw.item for draw in batch] for batch in take(sampler, 4)]
    assert [sorted(one) for one in passes] == [list(range(6))] * 4
    assert len(set(map(tuple, passes))) > 1


def test_the_incomplete_last_batch_of_a_pass_is_dropped():
    """23 images in batches of 5: four batches a pass, whose 20 images differ; the fifth batch begins the next pass."""
    batches = [[draw.item for draw in batch] for batch in take(StepBatchSampler(23, 5, seed=7), 20)]
    assert {len(batch) for batch in batches} == {5}
    for first in range(0, 20, 4):
        assert len({item for batch in batches[first : first + 4] for item in batch}) == 20
    spanning = [{item for batch in batches[first : first + 4] for item in batch} for first in range(1, 17)]
    assert min(map(len, spanning)) < 20  # three batches of one pass and one of the next share images
    assert {item for batch in batches for item in batch} == set(range(23))


def test_passes_are_in_another_order_for_another_seed_and_remembered_in_any_order_of_steps():
    sampler = StepBatchSampler(10, 5, seed=1)
    forward = [sampler.draws(step) for step in range(6)]
    assert [sampler.draws(step) for step in reversed(range(6))] == forward[::-1]
    ours, other = sampler.draws(0), StepBatchSampler(10, 5, seed=2).draws(0)
    assert [d.item for d in ours] != [d.item for d in other]
    assert [d.choice for d in ours] != [d.choice for d in other]


def test_process_r_of_n_gets_the_rows_r_r_plus_n_and_so_on():
    whole = StepBatchSampler(23, 6, seed=2).draws(4)
    shares = [StepBatchSampler(23, 6, seed=2, rank=rank, world_size=3).draws(4) for rank in range(3)]
    assert shares == [whole[0::3], whole[1::3], whole[2::3]]


def test_choices_are_uniform_below_two_to_the_31():
    choices = torch.tensor([draw.choice for batch in take(StepBatchSampler(50, 50), 40) for draw in batch])
    assert choices.min() >= 0
    assert 2**31 * 0.99 < choices.max() < 2**31
    assert (choices.double().mean() / 2**30 - 1).abs() < 0.06  # 4 standard errors of 2,000 draws
    assert len(choices.unique()) > 1990


def test_bad_batch_sizes_are_explained():
    with pytest.raises(ValueError, match="batch_size is 0 and there are 8 training images; both must be at least 1"):
        StepBatchSampler(8, 0)
    with pytest.raises(ValueError, match="batch_size is 8 and there are 0 training images"):
        StepBatchSampler(0, 8)
    with pytest.raises(ValueError, match="cannot be shared by 3 processes; choose a multiple of 3"):
        StepBatchSampler(8, 4, world_size=3)


def square_of(step):
    return {"step": step, "square": step**2}


def test_workers_keep_the_order_of_the_steps():
    loader = StepLoader(square_of, next_step=lambda: 3, num_workers=2)
    assert [batch["step"] for batch in itertools.islice(loader, 7)] == list(range(3, 10))


@pytest.mark.parametrize("start", [0, 3])
def test_a_stream_begins_at_its_step_and_asks_for_it_at_each_iteration(start):
    steps = iter([start, start + 10])
    loader = StepLoader(square_of, next_step=lambda: next(steps))
    assert [batch["step"] for batch in itertools.islice(loader, 3)] == [start, start + 1, start + 2]
    assert [batch["step"] for batch in itertools.islice(loader, 2)] == [start + 10, start + 11]


def test_shares_hold_every_item_once():
    shares = [Share(7, rank=rank, world_size=3) for rank in range(3)]
    assert [list(share) for share in shares] == [[0, 3, 6], [1, 4], [2, 5]]
    assert [len(share) for share in shares] == [3, 2, 2]
    assert list(Share(1, rank=1, world_size=2)) == []


class Squares:
    """Items by number: three of them."""

    def __len__(self):
        return 3

    def batch(self, indices):
        return {"square": [i**2 for i in indices], "index": "replaced"}


def test_images_beyond_the_split_are_made_of_its_items_again():
    batches = PredictBatches(Squares(), [[0, 2, 3], [5]])
    assert len(batches) == 2
    first, second = batches[0], batches[1]
    assert (first["square"], second["square"]) == ([0, 4, 0], [4])
    assert (first["index"].tolist(), second["index"].tolist()) == ([0, 2, 3], [5])
    assert first["index"].dtype == torch.int64


class Recorder(lightning.LightningModule):
    """Trains one weight and remembers what it saw."""

    def __init__(self, optimizer_steps=1):
        super().__init__()
        self.weight = torch.nn.Parameter(torch.zeros(1))
        self.automatic_optimization = False
        self.optimizer_steps = optimizer_steps
        self.seen, self.predicted = [], []

    def training_step(self, batch):
        self.seen.append(batch["index"].tolist())
        for _ in range(self.optimizer_steps):
            optimizer = self.optimizers()
            optimizer.zero_grad()
            self.manual_backward((self.weight**2).sum())
            optimizer.step()

    def predict_step(self, batch):
        self.predicted.append(batch["index"].tolist())

    def configure_optimizers(self):
        return torch.optim.SGD(self.parameters(), lr=0.1)


def trainer(tmp_path, steps, **more):
    quiet = {"logger": False, "enable_progress_bar": False, "enable_model_summary": False, "accelerator": "cpu"}
    return lightning.Trainer(default_root_dir=tmp_path, max_steps=steps, **(quiet | more))


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("optimizer_steps", [1, 2])  # 2: a GAN, whose global_step runs twice as fast as its batches
def test_a_resumed_training_sees_the_batches_of_an_uninterrupted_one(tmp_path, celeba_root, optimizer_steps):
    def fit(steps, checkpoint=None, **more):
        data = CelebAMaskHQ(root=celeba_root, image_size=32, batch_size=6, seed=5)
        module = Recorder(optimizer_steps)
        run = trainer(tmp_path, steps * optimizer_steps, enable_checkpointing=False, **more)
        run.fit(module, datamodule=data, ckpt_path=checkpoint)
        return run, module

    _, whole = fit(20)
    first, started = fit(11)
    first.save_checkpoint(tmp_path / "half.ckpt")
    _, resumed = fit(20, tmp_path / "half.ckpt")
    assert len(whole.seen) == 20
    assert started.seen + resumed.seen == whole.seen
    _, in_epochs = fit(20, limit_train_batches=7)  # Lightning starts a new iteration every 7 batches
    assert in_epochs.seen == whole.seen


@pytest.mark.filterwarnings("ignore")
def test_predict_uses_the_requested_batches_and_image_numbers(tmp_path, celeba_root):
    data = CelebAMaskHQ(root=celeba_root, image_size=32, batch_size=4, conditions=("hair",))
    data.prepare_data()
    data.setup()
    run, module = trainer(tmp_path, 1, enable_checkpointing=False), Recorder()
    run.predict(module, datamodule=data)
    assert module.predicted == [[0, 1, 2, 3], [4, 5]]
    data.predict_batches = [[7, 8], [2]]
    module.predicted.clear()
    run.predict(module, datamodule=data)
    assert module.predicted == [[7, 8], [2]]
    batch = next(iter(data.predict_dataloader()))
    assert torch.equal(batch["image"], data.test.batch([1, 2])["image"])


def test_training_batches_survive_pickling_without_their_arrays(celeba_root):
    data = CelebAMaskHQ(root=celeba_root, image_size=32, batch_size=4, conditions=("hair",), flip=True)
    data.prepare_data()
    data.setup()
    batches = data.train_batches()
    sent = pickle.dumps(batches)
    assert len(sent) < 8000
    assert torch.equal(pickle.loads(sent)(3)["image"], batches(3)["image"])
