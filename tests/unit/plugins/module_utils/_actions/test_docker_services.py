# Copyright (c) 2026, the opsready.golive authors
# GNU General Public License v3.0+ (see LICENSE or https://www.gnu.org/licenses/gpl-3.0.txt)
# SPDX-License-Identifier: GPL-3.0-or-later
"""What a container is made of anew: all that it was given, and nothing that its image gave it."""

from __future__ import annotations

import typing as t

import pytest

from ansible_collections.opsready.golive.plugins.module_utils._actions.container_exchange import REPLACES
from ansible_collections.opsready.golive.plugins.module_utils._actions.docker_services import anew

ID = "0123456789ab" + "0" * 52


def made(config: dict[str, t.Any], image: dict[str, t.Any], **more: t.Any) -> tuple[dict[str, t.Any], dict[str, t.Any]]:
    old = {"Id": ID, "Config": config, "HostConfig": {}, "NetworkSettings": {"Networks": {}}, **more}
    return anew(old, image, "sha256:new", replaces=ID)


def networks(*names: str) -> dict[str, t.Any]:
    return {"Networks": {name: {"Aliases": ["web", ID[:12]]} for name in names}}


@pytest.mark.parametrize("mode", ["default", "bridge"])
def test_networks_beside_the_engines_own_bridge_are_joined_again(mode: str) -> None:
    wanted, others = made({}, {}, HostConfig={"NetworkMode": mode}, NetworkSettings=networks("bridge", "shop"))
    assert (wanted["NetworkingConfig"], list(others), others["shop"]["Aliases"]) == ({}, ["shop"], ["web"])


def test_the_first_network_is_made_with_it_and_the_rest_are_joined() -> None:
    wanted, others = made({}, {}, HostConfig={"NetworkMode": "front"}, NetworkSettings=networks("back", "front"))
    assert (list(wanted["NetworkingConfig"]["EndpointsConfig"]), list(others)) == (["front"], ["back"])
    assert made({}, {}, HostConfig={"NetworkMode": "host"}, NetworkSettings=networks("host"))[1] == {}


def test_a_volume_without_a_name_of_its_own_is_the_same_volume() -> None:
    volume = {"Type": "volume", "Name": "3f9c", "Destination": "/data", "RW": True}
    asked = [{"Type": "volume", "Target": "/data"}, {"Type": "bind", "Source": "/etc/app", "Target": "/etc/app"}]
    wanted, _others = made({}, {}, HostConfig={"Mounts": asked}, Mounts=[volume])
    assert wanted["HostConfig"]["Mounts"] == [{"Type": "volume", "Target": "/data", "Source": "3f9c"}, asked[1]]
    assert wanted["HostConfig"]["Binds"] == []


@pytest.mark.parametrize(
    ("own", "image", "kept"),
    [
        ({"Entrypoint": None, "Cmd": ["sh"]}, {"Entrypoint": ["/entry"]}, {"Entrypoint": [""], "Cmd": ["sh"]}),
        (
            {"Entrypoint": ["/entry"], "Cmd": None},
            {"Entrypoint": ["/entry"], "Cmd": ["serve"]},
            {"Entrypoint": ["/entry"]},
        ),
        ({"Entrypoint": ["/entry"], "Cmd": ["serve"]}, {"Entrypoint": ["/entry"], "Cmd": ["serve"]}, {}),
        ({"Entrypoint": None, "Cmd": ["serve"]}, {"Cmd": ["serve"]}, {}),
    ],
)
def test_what_was_cleared_of_an_image_stays_cleared(
    own: dict[str, t.Any], image: dict[str, t.Any], kept: dict[str, t.Any]
) -> None:
    wanted, _others = made(own, image)
    assert {name: wanted[name] for name in ("Entrypoint", "Cmd") if name in wanted} == kept


def test_it_says_in_whose_place_it_is_made() -> None:
    wanted, _others = made({"Labels": {REPLACES: "an older one", "mine": "1"}}, {"Labels": {"theirs": "2"}})
    assert wanted["Labels"] == {REPLACES: ID, "mine": "1"}
