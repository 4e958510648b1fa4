//! Exchanges from the request to the verdict's observation.

use super::*;
use crate::shadow::capture::{Line, Received};
use crate::shadow::sample::Skipped;
use crate::shadow::testing::{ANSWER, settings, with_request};
use proptest::prelude::*;

const RAW: u64 = u64::MAX;
const NOISE: u64 = 0;

struct Scene {
    settings: Settings,
    table: Table,
    now: Moment,
    token: u32,
}

impl Scene {
    fn new() -> Self {
        let settings = settings();
        Self {
            table: Table::new(&settings, Moment(0)),
            settings,
            now: Moment(0),
            token: 0,
        }
    }

    fn begin(&mut self, method: &str, coin: u64) -> Result<Id, Skipped> {
        let draws = Draws {
            coin,
            span: 1,
            again: 2,
        };
        let (table, settings, now) = (&mut self.table, &self.settings, self.now);
        with_request(method, "/", &[], |request| {
            table.begin(settings, request, draws, now)
        })
    }

    /// A request without a body, sent; and whom it went to.
    fn sent(&mut self, coin: u64) -> (Id, Leg) {
        let id = self.begin("GET", coin).unwrap();
        let call = self.table.request_ended(id).unwrap();
        self.token += 1;
        let step = self
            .table
            .sent(&self.settings, id, Some(self.token), self.now);
        assert_eq!(step, None);
        (id, call.leg)
    }

    fn primary(&mut self, id: Id, body: &str) -> Option<Step> {
        let lines = ANSWER[1..].iter().copied();
        self.table.primary_headers(&self.settings, id, 200, lines);
        for chunk in body.as_bytes().chunks(3) {
            self.table.primary_chunk(&self.settings, id, chunk);
        }
        self.table.primary_ended(&self.settings, id, true, self.now)
    }

    fn answered(&mut self, headers: &[Line<'_>], body: &str) -> Option<Step> {
        let received = Received {
            headers,
            body: body.as_bytes(),
            body_size: body.len(),
            trailers: &[],
        };
        let answers = compare::Settings::default();
        let outcome = Outcome::of(&received, &answers, self.settings.max_body_bytes);
        self.table
            .answered(&self.settings, self.token, outcome, self.now)
    }

    fn is_empty(&self) -> bool {
        let budget = self.table.budget();
        let used = (budget.in_flight(), budget.bytes());
        self.table.exchanges.is_empty() && self.table.calls.is_empty() && used == (0, 0)
    }
}

fn joined(step: Option<Step>) -> (Joined, bool) {
    match step {
        Some(Step::Joined { joined, kept, .. }) => (joined, kept),
        other => panic!("{other:?}"),
    }
}

/// A raw pair that came to nothing for a reason of the way there.
fn lost(why: NotCompared) -> Step {
    Step::NotCompared {
        why,
        lost: Some(Pair::Raw),
    }
}

/// A pair that came to nothing for a reason of the request's.
fn without(why: NotCompared) -> Step {
    Step::NotCompared { why, lost: None }
}

#[test]
fn equal_answers_are_joined_whichever_comes_first() {
    let mut scene = Scene::new();
    let (id, leg) = scene.sent(RAW);
    assert_eq!(leg, Leg::Candidate);
    assert_eq!(scene.primary(id, r#"{"a": 1}"#), None);
    let (found, kept) = joined(scene.answered(&ANSWER, r#"{"a":1.0}"#));
    assert!(found.found.is_equal() && found.judged && !kept);
    assert_eq!(found.pair, Pair::Raw);
    let (id, leg) = scene.sent(NOISE);
    assert_eq!(leg, Leg::Stable);
    assert_eq!(scene.answered(&ANSWER, "[1]"), None);
    let (found, kept) = joined(scene.primary(id, "[2]"));
    assert!(found.found.has("/*", compare::Kind::Value) && !kept);
    assert_eq!(found.pair, Pair::Noise);
    assert!(scene.is_empty());
}

#[test]
fn a_raw_pair_that_differs_is_kept_until_stable_was_asked_again() {
    let mut scene = Scene::new();
    let (id, _) = scene.sent(RAW);
    scene.primary(id, "[1]");
    let (_, kept) = joined(scene.answered(&ANSWER, "[2]"));
    assert!(kept);
    let call = scene.table.confirm(id, scene.now).unwrap();
    assert_eq!(call.leg, Leg::Stable);
    let span = call.headers.iter().any(|(name, _)| name == ":path");
    assert!(span && scene.table.budget().in_flight() == 1);
    scene.token += 1;
    scene
        .table
        .sent(&scene.settings, id, Some(scene.token), scene.now);
    let Some(Step::Confirmed {
        raw,
        stable_again,
        again_candidate,
    }) = scene.answered(&ANSWER, "[1]")
    else {
        panic!()
    };
    assert!(stable_again.is_equal() && !raw.is_equal() && again_candidate == raw);
    assert!(scene.is_empty());
}

#[test]
fn a_pair_that_is_forgotten_holds_nothing() {
    let mut scene = Scene::new();
    let (id, _) = scene.sent(RAW);
    scene.primary(id, "[1]");
    joined(scene.answered(&ANSWER, "[2]"));
    scene.table.forget(id, scene.now);
    assert!(scene.is_empty());
    assert_eq!(scene.table.confirm(id, scene.now), None);
}

#[test]
fn a_failing_version_differs_in_its_status_and_a_blocked_way_is_not_compared() {
    const FAILED: [Line<'static>; 1] = [(b":status", b"504")];
    let mut scene = Scene::new();
    for headers in [&FAILED[..], &[]] {
        let (id, _) = scene.sent(RAW);
        scene.answered(headers, "");
        let (found, _) = joined(scene.primary(id, "[1]"));
        assert!(found.found.has("", compare::Kind::Status));
        scene.table.forget(id, scene.now);
    }
    let (id, _) = scene.sent(RAW);
    scene.answered(&[(b":status", b"503")], "no healthy upstream");
    let step = scene.primary(id, "[1]");
    assert_eq!(step, Some(lost(NotCompared::Blocked)));
    let id = scene.begin("GET", RAW).unwrap();
    scene.table.request_ended(id);
    let step = scene.table.sent(&scene.settings, id, None, scene.now);
    assert_eq!(step, Some(lost(NotCompared::NotSent)));
    assert!(scene.is_empty(), "it waits for no answer of stable's");
    assert_eq!(scene.primary(id, "[1]"), None);
}

#[test]
fn what_stable_did_as_well_is_no_failure() {
    let mut scene = Scene::new();
    let (id, _) = scene.sent(RAW);
    scene.answered(&[(b":status", b"504")], "");
    scene.now = Moment(2_000);
    let step = scene.primary(id, "[1]");
    assert_eq!(step, Some(without(NotCompared::Slow)));
    let (id, _) = scene.sent(RAW);
    scene.primary(id, &"x".repeat(1_001));
    let step = scene.answered(&[], "");
    assert_eq!(step, Some(without(NotCompared::TooLarge)));
    let (id, _) = scene.sent(RAW);
    scene.answered(&ANSWER, "[1]");
    let step = scene
        .table
        .primary_ended(&scene.settings, id, false, scene.now);
    assert_eq!(step, Some(without(NotCompared::Primary)));
    assert!(scene.is_empty());
}

#[test]
fn long_bodies_leave_status_and_headers_to_compare() {
    let mut scene = Scene::new();
    let (id, _) = scene.sent(RAW);
    scene.primary(id, &"x".repeat(1_001));
    let (found, _) = joined(scene.answered(&ANSWER, "[1]"));
    assert_eq!(found.found.bodies, compare::Bodies::NotCaptured);
    assert!(scene.is_empty());
}

#[test]
fn a_request_body_goes_along_whole_or_not_at_all() {
    let mut scene = Scene::new();
    let id = scene.begin("POST", RAW).unwrap();
    let (settings, table) = (&scene.settings, &mut scene.table);
    for chunk in [b"ab", b"cd"] {
        assert_eq!(table.request_chunk(settings, id, chunk, scene.now), Ok(()));
    }
    assert_eq!(table.request_ended(id).unwrap().body, b"abcd");
    let id = scene.begin("POST", RAW).unwrap();
    let (settings, table) = (&scene.settings, &mut scene.table);
    let long = table.request_chunk(settings, id, &[0; 1_001], scene.now);
    assert_eq!(long, Err(Skipped::Body));
    assert_eq!(table.request_ended(id), None);
}

#[test]
fn writes_never_go_to_stable_and_are_no_evidence() {
    let mut scene = Scene::new();
    let id = scene.begin("POST", NOISE).unwrap();
    assert_eq!(scene.table.request_ended(id).unwrap().leg, Leg::Candidate);
    scene.token += 1;
    scene
        .table
        .sent(&scene.settings, id, Some(scene.token), scene.now);
    scene.primary(id, "[1]");
    let (found, kept) = joined(scene.answered(&ANSWER, "[2]"));
    assert!(!found.judged && !kept && !found.found.is_equal());
    assert!(scene.is_empty());
}

#[test]
fn what_is_only_mirrored_waits_for_no_primary() {
    let mut scene = Scene::new();
    scene.settings.comparing = None;
    let (_, leg) = scene.sent(NOISE);
    assert_eq!(leg, Leg::Candidate);
    assert_eq!(scene.answered(&ANSWER, "[1]"), None);
    assert!(scene.is_empty());
}

#[test]
fn with_the_shadow_hung_nothing_grows_and_all_ends() {
    let mut scene = Scene::new();
    scene.settings.timeout = std::time::Duration::from_secs(1);
    let begun: Vec<_> = (0..10).map(|_| scene.begin("GET", RAW)).collect();
    assert_eq!(begun.iter().filter(|begun| begun.is_ok()).count(), 4);
    assert_eq!(begun[4], Err(Skipped::InFlight));
    for id in begun.into_iter().flatten() {
        scene.table.request_ended(id);
    }
    scene.now = Moment(31_000);
    assert!(scene.table.tick(&scene.settings, scene.now).is_empty());
    scene.now = Moment(31_001);
    let steps = scene.table.tick(&scene.settings, scene.now);
    assert_eq!(steps, vec![lost(NotCompared::Expired); 4]);
    assert!(scene.is_empty());
}

#[test]
fn a_clock_that_is_set_back_does_not_keep_exchanges_for_ever() {
    let mut scene = Scene::new();
    scene.now = Moment(1_000_000_000);
    scene.sent(RAW);
    scene.table.tick(&scene.settings, Moment(0));
    let steps = scene.table.tick(&scene.settings, Moment(40_000));
    assert_eq!(steps, [lost(NotCompared::Expired)]);
}

#[test]
fn a_failing_upstream_is_left_alone_for_raw_and_noise_alike_and_probed_without_the_coin() {
    let mut scene = Scene::new();
    for _ in 0..5 {
        let (id, _) = scene.sent(RAW);
        scene.primary(id, "[1]");
        scene.answered(&[], "");
        scene.table.forget(id, scene.now);
    }
    assert_eq!(scene.begin("GET", RAW), Err(Skipped::BackOff));
    assert_eq!(scene.begin("GET", NOISE), Err(Skipped::BackOff));
    scene.now = Moment(1_000);
    let (id, leg) = scene.sent(NOISE);
    assert_eq!(leg, Leg::Candidate, "the probe goes to whom it is about");
    assert_eq!(scene.begin("GET", RAW), Err(Skipped::BackOff));
    scene.primary(id, "[1]");
    let (found, _) = joined(scene.answered(&ANSWER, "[1]"));
    assert!(!found.judged);
    assert!(scene.table.back_off(Leg::Candidate).is_on());
    assert!(scene.begin("GET", RAW).is_ok());
}

#[test]
fn bytes_past_the_budget_cost_bodies_first() {
    let mut scene = Scene::new();
    scene.settings.max_body_bytes = 100_000;
    let (id, _) = scene.sent(RAW);
    scene.primary(id, &"x".repeat(9_999));
    assert!(scene.table.budget().bytes() < 1_000);
    let (found, kept) = joined(scene.answered(&ANSWER, "[1]"));
    assert_eq!(found.found.bodies, compare::Bodies::NotCaptured);
    assert!(!kept && scene.is_empty());
}

#[test]
fn without_room_for_what_a_further_answer_is_compared_with_stable_is_not_asked_again() {
    let mut scene = Scene::new();
    scene.settings.max_body_bytes = 9_000;
    let (id, _) = scene.sent(RAW);
    scene.primary(id, &format!("[\"{}\"]", "x".repeat(5_000)));
    let candidate = format!("[\"{}\"]", "y".repeat(4_850));
    let (found, kept) = joined(scene.answered(&ANSWER, &candidate));
    assert!(found.found.has("/*", compare::Kind::Value));
    assert!(!kept && scene.is_empty());
    assert_eq!(scene.table.confirm(id, scene.now), None);
}

#[test]
fn tokens_that_nobody_waits_for_say_nothing() {
    let mut scene = Scene::new();
    scene.token = 77;
    assert_eq!(scene.answered(&ANSWER, "[1]"), None);
    let (id, _) = scene.sent(RAW);
    scene.primary(id, "[1]");
    joined(scene.answered(&ANSWER, "[1]"));
    assert_eq!(scene.answered(&ANSWER, "[1]"), None);
}

proptest! {
    #[test]
    fn whatever_happens_budgets_hold_and_all_is_given_back(
        steps in prop::collection::vec((0..9_u8, 0..6_u64, any::<bool>(), 0..3_000_usize), 0..60),
    ) {
        let mut scene = Scene::new();
        let limits = scene.settings.limits;
        for (step, id, flag, size) in steps {
            let id = Id(id);
            scene.now.0 += i64::try_from(size).unwrap();
            scene.token = u32::try_from(id.0).unwrap();
            let (settings, table, now) = (&scene.settings, &mut scene.table, scene.now);
            match step {
                0 | 1 => {
                    let _ = scene.begin(if flag { "GET" } else { "POST" }, (size as u64) << 53);
                }
                2 => {
 let _ = table.request_chunk(settings, id, &vec![0; size], now);
}
                3 => {
 let _ = table.request_ended(id);
}
                4 => {
 let _ = table.sent(settings, id, flag.then_some(scene.token), now);
}
                5 => {
 let _ = scene.answered(if flag { &ANSWER } else { &[] }, &"x".repeat(size));
}
                6 => {
 let _ = scene.primary(id, &"y".repeat(size));
}
                7 if flag => {
 let _ = table.confirm(id, now);
}
                7 => table.forget(id, now),
                _ => {
 let _ = table.tick(settings, now);
}
            }
            let budget = scene.table.budget();
            prop_assert!(budget.in_flight() <= limits.in_flight && budget.bytes() <= limits.bytes);
            prop_assert!(scene.table.exchanges.len() <= limits.in_flight * PER_CALL);
        }
        scene.now.0 += 1_000_000;
        scene.table.tick(&scene.settings, scene.now);
        prop_assert!(scene.is_empty());
    }
}
