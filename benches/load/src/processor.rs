//! Processor time of another process, thread by thread.

use std::collections::BTreeMap;
use std::{fs, io};

/// Nanoseconds by the threads' names; threads of one name together.
pub type Spent = BTreeMap<String, u64>;

/// What each thread of `pid` has spent since it began.
pub fn spent(pid: u32) -> io::Result<Spent> {
    let mut spent = Spent::new();
    if pid == 0 {
        return Ok(spent);
    }
    for task in fs::read_dir(format!("/proc/{pid}/task"))? {
        let task = task?.path();
        // A thread may end while it is looked at.
        let (Ok(name), Ok(stat)) = (
            fs::read_to_string(task.join("comm")),
            fs::read_to_string(task.join("schedstat")),
        ) else {
            continue;
        };
        let running = stat.split(' ').next().and_then(|first| first.parse().ok());
        *spent.entry(name.trim().to_owned()).or_insert(0) += running.unwrap_or(0);
    }
    Ok(spent)
}

/// What was spent between two looks.
pub fn between(before: &Spent, after: &Spent) -> Spent {
    let since = |(name, after): (&String, &u64)| {
        let before = before.get(name).copied().unwrap_or(0);
        (name.clone(), after.saturating_sub(before))
    };
    after.iter().map(since).collect()
}
