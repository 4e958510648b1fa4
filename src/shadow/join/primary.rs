//! The primary answer, as it goes by.

use super::Table;
use super::exchange::{Id, NotCompared, Primary, Stage, Step};
use crate::shadow::budget::Moment;
use crate::shadow::capture::{Answer, Line};
use crate::shadow::settings::Settings;

impl Table {
    /// The primary answer's headers.
    pub fn primary_headers<'a>(
        &mut self,
        settings: &Settings,
        id: Id,
        status: u16,
        lines: impl IntoIterator<Item = Line<'a>>,
    ) {
        if let (Some(exchange), Some(comparing)) =
            (self.exchanges.get_mut(&id), &settings.comparing)
        {
            let answer = Answer::begin(status, lines, &comparing.answers);
            exchange.primary = Primary::Coming(answer);
            self.account(id);
        }
    }

    /// Whether more of the primary answer's body would be kept.
    pub fn reads_primary(&self, id: Id) -> bool {
        let primary = self.exchanges.get(&id).map(|exchange| &exchange.primary);
        matches!(primary, Some(Primary::Coming(answer)) if !answer.is_truncated())
    }

    /// A chunk of the primary answer's body.
    pub fn primary_chunk(&mut self, settings: &Settings, id: Id, chunk: &[u8]) {
        if let Some(exchange) = self.exchanges.get_mut(&id)
            && let Primary::Coming(answer) = &mut exchange.primary
            && !answer.is_truncated()
        {
            answer.chunk(chunk, settings.max_body_bytes);
            self.account(id);
        }
    }

    /// Gives up the primary answer's body.
    pub fn primary_truncated(&mut self, id: Id) {
        if let Some(exchange) = self.exchanges.get_mut(&id)
            && let Primary::Coming(answer) = &mut exchange.primary
        {
            answer.truncate();
            self.account(id);
        }
    }

    /// The primary answer's trailers.
    pub fn primary_trailers<'a>(
        &mut self,
        settings: &Settings,
        id: Id,
        lines: impl IntoIterator<Item = Line<'a>>,
    ) {
        if let (Some(exchange), Some(comparing)) =
            (self.exchanges.get_mut(&id), &settings.comparing)
            && let Primary::Coming(answer) = &mut exchange.primary
        {
            answer.trailers(lines, &comparing.answers);
            self.account(id);
        }
    }

    /// The request is over for its caller. `whole` says whether the answer came from stable and came
    /// to its end.
    pub fn primary_ended(
        &mut self,
        settings: &Settings,
        id: Id,
        whole: bool,
        now: Moment,
    ) -> Option<Step> {
        let exchange = self.exchanges.get_mut(&id)?;
        exchange.took = now.since(exchange.began);
        exchange.primary = match std::mem::replace(&mut exchange.primary, Primary::Lost) {
            Primary::Coming(answer) if whole => Primary::Whole(answer),
            _ => Primary::Lost,
        };
        if matches!(exchange.stage, Stage::Gathering { .. }) {
            // Stable answered before it had the whole request: there is nothing to send.
            let plan = self.remove(id, now)?.plan;
            return Some(plan.not_compared(NotCompared::Primary));
        }
        self.account(id);
        self.join(settings, id, now)
    }
}
