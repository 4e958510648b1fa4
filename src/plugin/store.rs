//! What outlives a policy and a VM: shared data of the proxy's process.
//!
//! One key for each filter of the proxy: the text of the last good policy, so that a newer bad one
//! costs nobody their traffic, not even where it comes with a new VM. The key is named after the
//! plugin and not after the policy, because a bad policy need not tell its name.

use super::host;
use crate::assign::hash::murmur3_x86_32;

/// What the value begins with: whose it is, and in which form.
const MAGIC: &[u8; 4] = b"SRN1";

/// The longest part of a key that comes from the plugin's name.
const LONGEST_NAME: usize = 200;

/// Where the last good policy of this plugin is kept.
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

    /// The text; absent bytes, foreign ones and damaged ones are all absent.
    pub fn read(&self) -> Option<Vec<u8>> {
        let value = host::shared(&self.key).ok().flatten()?;
        let (magic, rest) = value.split_first_chunk::<4>()?;
        let (sum, text) = rest.split_first_chunk::<4>()?;
        let whole = magic == MAGIC && u32::from_le_bytes(*sum) == murmur3_x86_32(&[text], 0);
        whole.then(|| text.to_vec())
    }

    /// Keeps `text`.
    pub fn write(&self, text: &[u8]) -> host::Result<()> {
        let mut value = Vec::with_capacity(text.len().saturating_add(8));
        value.extend_from_slice(MAGIC);
        value.extend_from_slice(&murmur3_x86_32(&[text], 0).to_le_bytes());
        value.extend_from_slice(text);
        host::set_shared(&self.key, &value)
    }
}
