//! A stateful proxy between the cores: forks, sends CANCEL and ACK on, and returns the first 2xx or the last rest (§16).

use std::collections::BTreeMap;
use std::rc::Rc;

use super::text::{Glance, Id, Method, destinations, forwarded, returned};
use super::world::World;
use crate::engine::text;

/// A request of somebody's, and where it went.
struct Relayed {
    request: Rc<str>,
    /// By branch: where to, and as what.
    forks: Vec<(usize, String)>,
    pending: usize,
    /// The last final response that is not a 2xx.
    best: Option<String>,
    answered: bool,
}

#[derive(Default)]
pub struct Proxy {
    relayed: BTreeMap<Id, Relayed>,
    /// By branch of ours, the request behind it.
    origins: BTreeMap<u32, Id>,
}

impl World {
    pub fn proxy_request(
        &mut self,
        node: usize,
        request: Rc<str>,
        glance: &Glance<'_>,
        keyed: bool,
    ) {
        let to: Vec<_> = destinations(&request)
            .into_iter()
            .filter(|to| *to < node)
            .collect();
        match glance.id.method {
            Method::Ack => {
                for to in to {
                    let branch = self.core.branch(node);
                    self.request_out(node, to, &forwarded(&request, node, branch));
                }
            }
            Method::Cancel => {
                self.answer(self.now, node, &request, 200, false);
                let invite = glance.id.with(Method::Invite);
                let forks = self.core.proxy.relayed.get(&invite);
                let forks = forks.map(|relayed| relayed.forks.clone());
                for (to, invite) in forks.unwrap_or_default() {
                    self.cancel(node, to, &invite);
                }
            }
            _ if keyed => {
                let mut relayed = Relayed {
                    request: request.clone(),
                    forks: Vec::new(),
                    pending: to.len(),
                    best: None,
                    answered: false,
                };
                for to in to {
                    let branch = self.core.branch(node);
                    self.core.proxy.origins.insert(branch, glance.id);
                    let fork = forwarded(&request, node, branch);
                    relayed.forks.push((to, fork));
                }
                let forks = relayed.forks.clone();
                self.core.proxy.relayed.insert(glance.id, relayed);
                for (to, fork) in forks {
                    self.request_out(node, to, &fork);
                }
            }
            _ => {}
        }
    }

    pub fn proxy_response(&mut self, node: usize, response: &str, glance: &Glance<'_>) {
        let invite = glance.id.method == Method::Invite;
        let status = glance.status.unwrap_or_default();
        let origin = self.core.proxy.origins.get(&glance.id.branch).copied();
        let relayed = origin.filter(|_| glance.id.method != Method::Cancel);
        let relayed = relayed.and_then(|origin| self.core.proxy.relayed.get_mut(&origin));
        let (Some(relayed), Some(back)) = (relayed, returned(response)) else {
            return;
        };
        let send = match status {
            100 => false,
            ..200 => invite && !relayed.answered,
            200..300 => invite || !relayed.answered,
            300.. => {
                relayed.best = Some(back);
                return self.fork_ends(node, origin);
            }
        };
        relayed.answered |= status >= 200;
        if send {
            // Its transaction may be over: then nobody waits for it.
            let _ = self.response_out(node, &back, false);
        }
    }

    pub fn proxy_failure(&mut self, node: usize, id: Id) {
        if id.method != Method::Cancel {
            let origin = self.core.proxy.origins.get(&id.branch).copied();
            self.fork_ends(node, origin);
        }
    }

    fn fork_ends(&mut self, node: usize, origin: Option<Id>) {
        let Some(relayed) = origin.and_then(|origin| self.core.proxy.relayed.get_mut(&origin))
        else {
            return;
        };
        relayed.pending = relayed.pending.saturating_sub(1);
        if relayed.pending > 0 || relayed.answered {
            return;
        }
        relayed.answered = true;
        let invite = origin.is_some_and(|origin| origin.method == Method::Invite);
        let response = match relayed.best.take() {
            Some(best) => best,
            // §16.7: as if a 408 had come; to another method it would come too late (RFC 4320 §4.2).
            None if invite => text::response(&relayed.request, 408, "proxy"),
            None => return,
        };
        let _ = self.response_out(node, &response, false);
    }
}
