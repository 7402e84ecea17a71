//! Which process gets a request: everything about the state of the entry is looked at here, and nothing waits.

use std::{collections::HashSet, net::SocketAddr};

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::super::{
    board::{Member, Members, Phase, RunNumber},
    router_line::Code,
};

/// So many requests at a time per process that is up; beyond, the client is told at once (Heroku, H11).
const MOST_REQUESTS_PER_PROCESS: usize = 200;

/// How the router chooses between processes that are up.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Balance {
    /// The one that works on the fewest requests.
    LeastBusy,
    /// Any of them, as Heroku does.
    Random,
}

/// What can be done with a request now.
pub enum Choice {
    /// Hand it to this one.
    Process(RunNumber, Member, SocketAddr),
    /// Hold it until one is up.
    Starting,
    /// Answer in the app's place.
    None(Code),
}

/// Which process gets a request. Parents decide: everything about the state of the entry is looked at here.
pub fn choose(
    members: &Members,
    tried: &HashSet<RunNumber>,
    balance: Balance,
    next_turn: impl FnOnce() -> usize,
) -> Choice {
    let up: Vec<(RunNumber, &Member, SocketAddr)> = members
        .present
        .iter()
        .filter(|(_, member)| member.phase == Phase::Up)
        .filter_map(|(run, member)| Some((*run, member, member.address?)))
        .collect();
    if up.is_empty() {
        let starting = members.present.values().any(|member| member.phase == Phase::Starting);
        return match (members.wanted.len(), members.present.is_empty()) {
            (0, _) => Choice::None(Code::H14),
            // Wanted, and about to be started.
            (_, true) => Choice::Starting,
            (_, false) if starting => Choice::Starting,
            (_, false) => Choice::None(Code::H10),
        };
    }
    let outstanding: usize = up.iter().map(|(_, member, _)| member.load()).sum();
    if outstanding >= MOST_REQUESTS_PER_PROCESS * up.len() {
        return Choice::None(Code::H11);
    }
    let mut candidates: Vec<_> = up.into_iter().filter(|(run, ..)| !tried.contains(run)).collect();
    if balance == Balance::LeastBusy
        && let Some(least) = candidates.iter().map(|(_, member, _)| member.load()).min()
    {
        candidates.retain(|(_, member, _)| member.load() == least);
    }
    if candidates.is_empty() {
        return Choice::None(Code::H21);
    }
    let (run, member, address) = candidates[next_turn() % candidates.len()];
    Choice::Process(run, member.clone(), address)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::Ordering;

    use super::*;

    #[test]
    fn the_least_busy_process_is_chosen_and_ties_go_round() {
        let members = Members { wanted: (1..=3).collect(), ..Members::default() };
        let mut members = members;
        for (number, load) in [(1, 2), (2, 1), (3, 1)] {
            let address = Some(SocketAddr::from(([127, 0, 0, 1], 1000 + u16::try_from(number).unwrap())));
            let member = Member::new(format!("web.{number}").into(), Phase::Up, address);
            member.outstanding.store(load, Ordering::Relaxed);
            members.present.insert(RunNumber(number), member);
        }
        let chosen = |tried: &[u64], turn| {
            let tried = tried.iter().copied().map(RunNumber).collect();
            match choose(&members, &tried, Balance::LeastBusy, || turn) {
                Choice::Process(run, ..) => Ok(run.0),
                Choice::None(code) => Err(code),
                Choice::Starting => panic!("three are up"),
            }
        };
        assert_eq!([chosen(&[], 0), chosen(&[], 1), chosen(&[], 2)], [Ok(2), Ok(3), Ok(2)]);
        assert_eq!(chosen(&[2, 3], 0), Ok(1));
        assert_eq!(chosen(&[1, 2, 3], 0), Err(Code::H21));
        members.present[&RunNumber(1)].outstanding.store(3 * MOST_REQUESTS_PER_PROCESS, Ordering::Relaxed);

        assert!(matches!(choose(&members, &HashSet::new(), Balance::Random, || 0), Choice::None(Code::H11)));
    }
}
