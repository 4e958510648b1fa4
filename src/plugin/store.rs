//! What outlives a policy and a VM: shared data of the proxy's process.
//!
//! | key | what is there |
//! | --- | --- |
//! | `serinus.policy.` and the plugin's name | the last good policy and since when it has been in force, see [`LastGood`] |
//! | the policy's name and `.health.0` to `.15` | all counts, see [`ledger`] |
//! | the policy's name and `.health.windows.0` to `.15` | the last minutes, see [`kept`](crate::health::kept) |
//! | the policy's name and `.health.slow` | what is slow, see [`slow`](crate::health::slow) |
//! | the policy's name and `.gate.0` to `.15` | the gates, see [`gates`](crate::gate::gates) |
//! | the policy's name and `.gate.orders` | where they stand, see [`orders`](crate::gate::orders) |
//! | the policy's name and `.flags.shed` | the flags that give way, see [`shed`](crate::gate::shed) |
//! | the policy's name and `.shadow.0` to `.15` | the shadows, see [`stored`](crate::shadow::stored) |
//! | the policy's name and `.lease` | who watches, see [`lease`](crate::health::lease) |
//!
//! Keys can't be deleted, so none is named after anything that comes and goes.

use super::host;
use crate::assign::hash::murmur3_x86_32;
use crate::assign::ramp::Millis;
use crate::health::ledger;
use crate::health::route::RouteHealth;
use std::cell::Cell;

/// What the value begins with: whose it is, and in which form.
const MAGIC: &[u8; 4] = b"SRN1";

/// The longest part of a key that comes from the plugin's name.
const LONGEST_NAME: usize = 200;

/// Where the last good policy of this plugin is kept, so that a newer bad one costs nobody their
/// traffic, not even where it comes with a new VM. The key is named after the plugin and not after
/// the policy, because a bad policy need not tell its name.
#[derive(Debug)]
pub struct LastGood {
    key: String,
}

impl LastGood {
    /// The place for the plugin that the host is calling.
    pub fn of_this_plugin() -> Self {
        let name = |path| {
            let name = host::property(path).ok().flatten().unwrap_or_default();
            let name = name.get(..LONGEST_NAME).unwrap_or(&name);
            String::from_utf8_lossy(name).into_owned()
        };
        Self {
            key: format!(
                "serinus.policy.{}.{}",
                name("plugin_name"),
                name("plugin_root_id")
            ),
        }
    }

    /// The text, and since when it has been in force; absent bytes, foreign ones and damaged ones are
    /// all absent.
    pub fn read(&self) -> Option<(Vec<u8>, Millis)> {
        let value = host::shared(&self.key).ok().flatten()?;
        let (magic, rest) = value.split_first_chunk::<4>()?;
        let (sum, body) = rest.split_first_chunk::<4>()?;
        let (since, text) = body.split_first_chunk::<8>()?;
        let whole = magic == MAGIC && u32::from_le_bytes(*sum) == murmur3_x86_32(&[body], 0);
        whole.then(|| (text.to_vec(), Millis(i64::from_le_bytes(*since))))
    }

    /// Keeps `text`, and gives the time since which it has been in force: `now`, unless it is kept
    /// already.
    pub fn keep(&self, text: &[u8], now: Millis) -> host::Result<Millis> {
        if let Some((kept, since)) = self.read()
            && kept == text
        {
            return Ok(since);
        }
        let since = now.0.to_le_bytes();
        let mut value = Vec::with_capacity(text.len().saturating_add(16));
        value.extend_from_slice(MAGIC);
        value.extend_from_slice(&murmur3_x86_32(&[&since, text], 0).to_le_bytes());
        value.extend_from_slice(&since);
        value.extend_from_slice(text);
        host::set_shared(&self.key, &value).map(|()| now)
    }
}

/// What became of counts that were to go to the ledger.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Taken {
    /// They are there.
    Now,
    /// Other workers were quicker; try again at the next tick.
    Later,
    /// The host does not take them.
    Lost,
}

/// The [`ledger`] in shared data.
#[derive(Debug)]
pub struct Ledger {
    name: String,
    /// The slot that this worker adds to; chosen at random, so that workers seldom meet.
    slot: Cell<usize>,
}

impl Ledger {
    /// That of the policy `name`.
    pub fn new(name: &str) -> Self {
        let [slot, ..] = host::random().unwrap_or_default();
        Self {
            name: name.to_owned(),
            slot: Cell::new(usize::from(slot)),
        }
    }

    /// Adds what `routes` counted.
    pub fn add(&self, routes: &[&RouteHealth], now: Millis) -> Taken {
        swap(
            || ledger::key(&self.name, self.slot.get()),
            |value| ledger::added(value, routes.iter().copied(), now),
            || self.slot.set(self.slot.get().wrapping_add(1)),
        )
    }
}

/// Puts what `change` makes of the value at `key` in its place, unless other workers are quicker
/// [`ledger::TRIES`] times; each time `refused` may choose another key.
pub fn swap(
    key: impl Fn() -> String,
    mut change: impl FnMut(Option<&[u8]>) -> Vec<u8>,
    refused: impl Fn(),
) -> Taken {
    for _ in 0..ledger::TRIES {
        let key = key();
        let Ok((value, number)) = host::shared_with_number(&key) else {
            return Taken::Lost;
        };
        match host::swap_shared(&key, &change(value.as_deref()), number) {
            Ok(true) => return Taken::Now,
            Ok(false) => refused(),
            Err(_) => return Taken::Lost,
        }
    }
    Taken::Later
}

/// The values at `keys`; absent ones are left out.
pub fn values(keys: impl Iterator<Item = String>) -> Vec<Vec<u8>> {
    keys.filter_map(|key| host::shared(&key).ok().flatten())
        .collect()
}

/// The values of all slots of the ledger of the policy `name`.
pub fn slots(name: &str) -> Vec<Vec<u8>> {
    values((0..ledger::SLOTS).map(|slot| ledger::key(name, slot)))
}
