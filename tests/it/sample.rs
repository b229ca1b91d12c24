//! The first thing that a newcomer tries.

use crate::support::http::Request;
use crate::support::loki;
use crate::support::trommel::Setup;

#[test]
fn the_sample_shows_a_finding_that_opens_and_recovers() {
    let trommel = Setup::with_builtin_rules().arg("--sample").start();
    let recovered = trommel.wait_for("a recovery", |event| event.state() == "recovered");
    let events = trommel.events();
    let observed = events
        .iter()
        .find(|event| event.data("finding_id") == recovered.data("finding_id"))
        .expect("what recovers was observed");
    assert_eq!(observed.state(), "observed");
    // It goes on as any other: the newcomer's next step is a push of their own.
    let answer = trommel
        .push_client()
        .send(&Request::push_protobuf(loki::protobuf::<loki::Entry>(&[])))
        .expect("an answer");
    assert!(answer.status < 500, "{}", answer.status);
}
