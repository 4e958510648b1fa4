//! What a large policy costs: the work of a second, and memory. Sizes are printed with
//! `--nocapture`; what is asserted is a bound with room, so that only a new order of cost fails.

use std::time::{Duration, Instant};

use serinus_host_tests::{Calls, Filter, Process, Request, Response};

use crate::policies::many_routes;
use crate::{BEAT, document, worker_of};

const MIB: usize = 1 << 20;

/// What one tick took.
struct Tick {
    instructions: u64,
    calls: Calls,
}

/// One beat, and what it took; the time is that of code that is not optimised.
#[expect(
    clippy::disallowed_methods,
    reason = "the time is printed and never asserted"
)]
fn beat(process: &Process, filter: &mut Filter, what: &str) -> Tick {
    process.advance(BEAT);
    let (before, began) = (filter.instructions(), Instant::now());
    let calls = filter.tick();
    let took: Duration = began.elapsed();
    let instructions = filter.instructions() - before;
    let told: Vec<_> = calls
        .table()
        .into_iter()
        .filter(|(_, times)| *times > 0)
        .collect();
    println!("{what}: {instructions} instructions, {took:?}, {told:?}");
    Tick {
        instructions,
        calls,
    }
}

/// One request to each of so many hosts of each route.
fn dirty(filter: &mut Filter, routes: usize, hosts: usize) {
    for route in 0..routes {
        for host in 0..hosts {
            let request = Request::get(format!("/r{route}/x"));
            let request = request.header("x-user-id", format!("u-{host}"));
            let address = format!("10.{route}.0.{host}:8080");
            filter.request(request.answered(Response::status(200).from(address)));
        }
    }
}

/// The four beats of a second, in which every route is handed on and looked at once.
fn second(process: &Process, filter: &mut Filter, what: &str) -> Vec<Tick> {
    let beats = (1..=4).map(|number| beat(process, filter, &format!("{what}, beat {number}")));
    beats.collect()
}

fn count(second: &[Tick], call: &str) -> usize {
    second.iter().map(|beat| beat.calls.count(call)).sum()
}

#[test]
fn a_second_of_a_hundred_routes_with_64_hosts_each_is_bounded_work() {
    const ROUTES: usize = 100;
    const HOSTS: usize = 64;
    // A route's gauges: four and its gate's ten, of two sides.
    const GAUGES: usize = 2 * (4 + 10);
    let process = Process::new();
    let mut filter = worker_of(&process, &many_routes(ROUTES));
    second(&process, &mut filter, "first second");
    for round in 1..=3 {
        dirty(&mut filter, ROUTES, HOSTS);
        let told = second(&process, &mut filter, &format!("round {round}"));
        for beat in &told {
            assert!(beat.instructions < 60_000_000, "{}", beat.instructions);
        }
        // A latency is a call each; all else is one for each series that grew or was set.
        let latencies = ROUTES * HOSTS;
        let records = count(&told, "proxy_record_metric");
        assert!(
            (latencies..latencies + ROUTES * GAUGES).contains(&records),
            "{records}"
        );
        let added = count(&told, "proxy_increment_metric");
        assert!(added <= ROUTES * 2 * 3 + 2, "{added}");
    }
    second(&process, &mut filter, "what is left");
    for beat in second(&process, &mut filter, "nothing came") {
        assert!(beat.instructions < 40_000_000, "{}", beat.instructions);
    }
    let before = filter.instructions();
    document(&mut filter);
    let took = filter.instructions() - before;
    println!("state document: {took} instructions");
    assert!(took < 300_000_000, "{took}");
}

#[test]
fn memory_of_the_largest_policy_is_bounded_by_the_policy() {
    const ROUTES: usize = 500;
    let process = Process::new();
    let mut filter = worker_of(&process, &many_routes(ROUTES));
    let configured = filter.memory_size();
    println!("500 routes, configured: {} KiB", configured >> 10);
    let mut sizes = Vec::new();
    for round in 1..=4 {
        dirty(&mut filter, ROUTES, 4);
        for _ in 0..4 {
            process.advance(BEAT);
            filter.tick();
        }
        document(&mut filter);
        sizes.push(filter.memory_size());
        println!("after round {round}: {} KiB", filter.memory_size() >> 10);
    }
    assert!(configured <= 24 * MIB, "{configured}");
    let last = *sizes.last().expect("four rounds");
    assert!(last <= 96 * MIB, "{last}");
    assert_eq!(sizes[2], last, "it stops growing");
}

/// [`many_routes`] whose gates are told so in the policy; without variants if there is no gate.
fn many_gates(count: usize, gate: Option<&str>) -> String {
    let variants = r#""variants": [{"name": "canary", "share": "50%"}]"#;
    match gate {
        Some(gate) => many_routes(count).replace(variants, &format!("{variants}, {gate}")),
        None => many_routes(count).replace(&format!(", {variants}"), ""),
    }
}

/// All that a gate can be told to look at.
fn every_limit() -> String {
    let limits: Vec<_> = (1..=16)
        .map(|n| match n % 4 {
            0 => format!(r#"{{"signal": "errorRate", "above": "{n}%", "for": "2m"}}"#),
            1 => format!(r#"{{"signal": "p50", "above": "{n}s", "for": "3m"}}"#),
            2 => format!(r#"{{"signal": "p99", "above": "{n}s", "for": "5m"}}"#),
            _ => format!(r#"{{"signal": "requestRate", "below": "{n}%", "for": "10m"}}"#),
        })
        .collect();
    let budget = r#"{"objective": "99%", "window": "1d"}"#;
    format!(
        r#""gate": {{"warmup": "0s", "limits": [{}], "budget": {budget}}}"#,
        limits.join(",")
    )
}

#[test]
fn judging_a_hundred_gates_is_bounded_work_of_bounded_state() {
    const ROUTES: usize = 100;
    let every_limit = every_limit();
    let kinds = [
        ("no gates", None),
        ("gates", Some(r#""gate": {"warmup": "0s"}"#)),
        ("gates with all limits and a budget", Some(&*every_limit)),
    ];
    for (kind, gate) in kinds {
        let process = Process::new();
        let mut filter = worker_of(&process, &many_gates(ROUTES, gate));
        beat(&process, &mut filter, kind);
        beat(&process, &mut filter, kind);
        let mut most = 0;
        for second in 1..=12 {
            dirty(&mut filter, ROUTES, 8);
            process.advance(BEAT * 2);
            beat(
                &process,
                &mut filter,
                &format!("{kind}, {second}: handing on"),
            );
            let judged = beat(
                &process,
                &mut filter,
                &format!("{kind}, {second}: watching"),
            );
            most = most.max(judged.instructions);
        }
        println!("{kind}: at most {most} instructions");
        assert!(most < 120_000_000, "{kind}: {most}");
        let keys = process.shared_keys().into_iter();
        let gates = keys.filter(|key| key.starts_with("shop.gate."));
        let kept: usize = gates
            .map(|key| process.shared_data(&key).map_or(0, |value| value.len()))
            .sum();
        println!("{kind}: {kept} bytes kept");
        assert!(kept <= ROUTES * 16 * 1_024, "{kind}: {kept}");
    }
}
