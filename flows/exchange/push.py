"""`odr push`: one iteration's model on the Hugging Face hub, with where it comes from and what it scores.

Only what `artifacts.modelfolder` calls the model goes there, with a card and the base model's licence file: neither
training state nor logs, and no path of this machine. All of it is one commit, so nobody sees a part of a model. The
token is the hub library's own business; no message shows it.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from artifacts import Checkpoint, checkpoints
from artifacts.modelfolder import model_files
from flows.exchange.iteration import results_of
from flows.exchange.licence import README
from flows.exchange.provenance import ancestors, base_of, config_of, scores
from tasks.model_card import Published, published_card
from tasks.workspace import Workspace

_WEIGHTS = (".safetensors", ".safetensors.index.json")


class HubFailed(OSError):
    """The hub cannot be reached, or refuses; the message says what to do."""


@dataclass(frozen=True)
class Upload:
    """What goes to the hub."""

    files: dict[str, Path]
    """By name in the repository."""
    card: str
    message: str
    """Of the commit."""


def collect(workspace: Workspace, name: str, *, network: bool) -> Upload:
    """The files and the card of `demo/3`; without `network`, what the hub's cache holds of the base model counts.

    Raises:
        ValueError, FileNotFoundError: no such iteration, or it is the base model itself.
        ArtifactError: the model is gone, or not as training wrote it.
    """
    campaign, number, results = results_of(workspace, name)
    checkpoint = Checkpoint.from_json(results[number]["policy"])
    checkpoints.verify(checkpoint, hash_cache=workspace.hashes, deep=True)
    lineage = checkpoints.facts(checkpoint)
    if not lineage:
        raise ValueError(f"{name} is the base model itself, which nobody trained here; name an iteration from 1 on")
    config = config_of(workspace, campaign)
    base = base_of(config, network=network)
    card = Published(
        name=name,
        base=base.name,
        base_is_public=base.is_public,
        lineage=lineage,
        ancestors=ancestors(campaign, results[: number + 1], base.name),
        scores=scores(results, number),
        licence=base.licence.said,
        licence_fields=base.licence.front_matter,
    )
    files = {path.name: path for path in sorted(model_files(Path(checkpoint.path)))}
    if base.licence.file:
        files[base.licence.file.name] = base.licence.file
    return Upload(files, published_card(card), f"{name}: {lineage['objective']['name']}, {checkpoint.digest[:12]}")


def check_target(repository: str, *, sends: bool) -> None:
    """Refuse a name that the hub would refuse and, before anything is read, to send something without a token.

    Raises:
        ValueError: with what to do.
    """
    from huggingface_hub import get_token
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repository)
    except HFValidationError as error:
        raise ValueError(f"found {repository!r} as the repository, expected OWNER/NAME: {error}") from error
    if sends and not get_token():
        raise ValueError("no token for the hub; run `hf auth login` or set HF_TOKEN (--dry-run needs none)")


def push(upload: Upload, repository: str, *, private: bool) -> str:
    """Make the repository if there is none, and add the files as one commit; return the commit's address.

    The same commit removes weights of an earlier model, which engines that load all there are would mix with these.

    Raises:
        ValueError: the repository is public and `private` was asked for.
        HubFailed: the hub cannot be reached, or refuses.
    """
    from huggingface_hub import CommitOperationAdd, CommitOperationDelete, HfApi

    api = HfApi()
    with _sentences(repository):
        api.create_repo(repository, private=private, exist_ok=True)
        there = api.model_info(repository)
        if private and not there.private:
            raise ValueError(
                f"{repository} is there already, and everybody can read it; say --public if that is meant, "
                "or choose another name"
            )
        added = {**upload.files, README: upload.card.encode()}
        earlier = {file.rfilename for file in there.siblings or () if file.rfilename.endswith(_WEIGHTS)}
        operations = [
            *(CommitOperationAdd(name, content) for name, content in added.items()),
            *(CommitOperationDelete(name) for name in sorted(earlier - added.keys())),
        ]
        return str(api.create_commit(repository, operations, commit_message=upload.message).commit_url)


@contextmanager
def _sentences(repository: str) -> Iterator[None]:
    """One sentence for whatever the hub or the way to it can do; their own texts may quote requests."""
    from huggingface_hub import errors
    from huggingface_hub.errors import HfHubHTTPError, OfflineModeIsEnabled

    # Its client is not always of the same package, and this name is that of whichever it is.
    unanswered = (errors.HTTPError, ConnectionError, TimeoutError)  # pyright: ignore[reportPrivateImportUsage]

    try:
        yield
    except OfflineModeIsEnabled as error:
        raise HubFailed("HF_HUB_OFFLINE is set, so nothing can be pushed; unset it, or say --dry-run") from error
    except HfHubHTTPError as error:
        status = error.response.status_code
        advice = {
            401: "the token is not valid: run `hf auth login`",
            403: f"the token may not write to {repository}: make one with write access, or correct the owner",
        }.get(status, "try again later")
        raise HubFailed(f"the hub refused {repository} ({status}); {advice}") from error
    except unanswered as error:
        raise HubFailed(f"the hub does not answer ({type(error).__name__}); check the connection") from error
