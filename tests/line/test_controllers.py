"""Modbus TCP and OPC UA, asked by clients of their libraries: what a controller reads, and the handshake."""

from __future__ import annotations

import socket
import threading

import pytest
from asyncua.sync import Client as OpcClient
from lines import until_so
from pymodbus.client import ModbusTcpClient
from served import free_port

from ss_poc.line.outbox import Item, SinkError
from ss_poc.line.parts import Part
from ss_poc.line.settings import ModbusSink, OpcuaSink
from ss_poc.line.sinks.modbus import ACK, ALARM, ERROR, HEARTBEAT, NG, OK, READY, RESULT_READY, WARN, Modbus
from ss_poc.line.sinks.opcua import NAMESPACE, OpcUa


def item(number: int, verdict: str = "accept", **values) -> Item:
    part = Part(f"{number:064d}", "press", "camera", f"{number}.png", 1_700_000_000_007, verdict, **values)
    return Item(part.key, part.message())


def alarm(active: bool, name: str = "rejects") -> Item:
    return Item("a", {"type": "alarm", "alarm": name, "source": None, "active": active, "text": "3 of 10"})


@pytest.fixture
def plc():
    """A Modbus server, and a controller that is connected to it."""
    port = free_port()
    sink = Modbus(ModbusSink(name="plc", host="127.0.0.1", port=port, timeout=2))
    client = ModbusTcpClient("127.0.0.1", port=port)
    assert client.connect()
    yield sink, client
    client.close()
    sink.close()


def coil(client, number: int) -> bool:
    return client.read_coils(number, count=1).bits[0]


def acknowledge(client, seen: list) -> None:
    """What a controller does with one result."""
    until_so(lambda: coil(client, RESULT_READY))
    registers = client.read_holding_registers(0, count=45).registers
    seen.append(([coil(client, number) for number in (OK, NG, ERROR, WARN)], registers))
    client.write_coil(ACK, True)
    until_so(lambda: not coil(client, RESULT_READY))
    client.write_coil(ACK, False)


def test_a_controller_reads_each_result_and_acknowledges_it(plc):
    sink, client = plc
    assert coil(client, READY) and not coil(client, RESULT_READY)
    seen = []
    controller = threading.Thread(target=lambda: [acknowledge(client, seen) for _ in range(4)])
    controller.start()
    sink.deliver([item(1)])
    sink.deliver([item(2, "reject", part="AB1", lot="7", found={"pit": (2, 70_000), "dent": (1, 5)})])
    sink.deliver([item(3, "warn")])
    sink.deliver([item(4, "error")])
    controller.join(20)
    assert [bits for bits, _ in seen] == [[True, False, False, False], [False, True, False, False],
                                          [True, False, False, True], [False, False, True, False]]
    assert [registers[:2] for _, registers in seen] == [[1, 1], [3, 2], [2, 3], [4, 4]]
    second = seen[1][1]
    assert second[2:5] == [3, 1, 70_005 - 65_536]
    assert second[5:8] == [0x4142, 0x3100, 0] and second[25:27] == [0x3700, 0]
    assert [coil(client, number) for number in (RESULT_READY, OK, NG, ERROR)] == [False] * 4


def test_a_result_that_nobody_acknowledges_stays_and_is_shown_again_with_its_number(plc):
    sink, client = plc
    sink._settings = ModbusSink(name="plc", timeout=0.2)
    for _ in range(2):
        with pytest.raises(SinkError, match=r"does not set Ack within 0.2 s"):
            sink.deliver([item(1, "reject")])
        assert coil(client, RESULT_READY) and coil(client, NG)
        assert client.read_holding_registers(0, count=2).registers == [3, 1]
    seen = []
    controller = threading.Thread(target=acknowledge, args=(client, seen))
    controller.start()
    until_so(lambda: coil(client, ACK))  # before it is shown again
    sink._settings = ModbusSink(name="plc", timeout=5)
    sink.deliver([item(1, "reject")])
    controller.join(20)
    assert len(seen) == 1 and not coil(client, RESULT_READY) and not coil(client, ACK)


def test_an_ack_that_is_not_taken_back_holds_the_next_result(plc):
    sink, client = plc
    sink._settings = ModbusSink(name="plc", timeout=0.2)
    client.write_coil(ACK, True)
    with pytest.raises(SinkError, match="does not take Ack back"):
        sink.deliver([item(1)])
    assert not coil(client, RESULT_READY)


def test_without_a_handshake_results_are_shown_at_once(plc):
    sink, client = plc
    sink._settings = ModbusSink(name="plc", handshake=False)
    for number, verdict in ((1, "accept"), (2, "reject")):
        sink.deliver([item(number, verdict)])
    assert client.read_holding_registers(0, count=2).registers == [3, 2]
    assert [coil(client, number) for number in (RESULT_READY, OK, NG)] == [True, False, True]


def test_alarms_and_a_beating_heart_are_shown_and_a_lost_service_is_not_ready(plc):
    sink, client = plc
    beat = coil(client, HEARTBEAT)
    sink.deliver([alarm(True), alarm(True, "service")])
    assert coil(client, ALARM) and not coil(client, READY)
    sink.deliver([alarm(False, "service")])
    assert coil(client, ALARM) and coil(client, READY)
    sink.deliver([alarm(False)])
    assert not coil(client, ALARM)
    until_so(lambda: coil(client, HEARTBEAT) != beat, 3)


def test_a_port_that_is_taken_is_said_and_tried_again():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        sink = Modbus(ModbusSink(name="a", host="127.0.0.1", port=port, handshake=False))
        with pytest.raises(SinkError, match="cannot be listened on"):
            sink.deliver([item(1)])
    sink.deliver([item(1)])
    sink.close()


def test_opc_ua_clients_read_the_last_part_counters_and_alarms():
    port = free_port()
    sink = OpcUa(OpcuaSink(name="a", host="127.0.0.1", port=port), "press")
    with OpcClient(f"opc.tcp://127.0.0.1:{port}/") as client:
        space = client.get_namespace_index(NAMESPACE)

        def value(*path: str):
            return client.nodes.objects.get_child([f"{space}:{name}" for name in ("press", *path)]).read_value()

        assert value("LastPart", "Verdict") == "" and value("Counters", "Parts") == 0
        sink.deliver([item(1)])
        sink.deliver([item(2, "reject", part="17", found={"pit": (2, 70_000)}, reasons=("pit was found", "Ä"))])
        sink.deliver([item(2, "reject", part="17", found={"pit": (2, 70_000)}, reasons=("pit was found", "Ä"))])
        names = ("Verdict", "Part", "Lot", "Source", "Objects", "Area", "Sequence")
        assert [value("LastPart", name) for name in names] == ["reject", "17", "", "camera", 2, 70_000, 2]
        assert value("LastPart", "Reasons") == "pit was found; Ä"
        assert value("LastPart", "Taken").isoformat().startswith("2023-11-14T22:13:20.007")
        assert [value("Counters", name) for name in ("Parts", "Accept", "Reject", "Error")] == [2, 1, 1, 0]
        sink.deliver([alarm(True)])
        assert value("Alarm", "Active") is True and value("Alarm", "Text") == "3 of 10"
        sink.deliver([alarm(False)])
        assert value("Alarm", "Active") is False
        with pytest.raises(Exception, match="BadUserAccessDenied|BadNotWritable"):
            client.nodes.objects.get_child([f"{space}:press", f"{space}:LastPart", f"{space}:Verdict"]).write_value("x")
    sink.close()
