//! The admin API of the program: its socket, and the token of its user.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex, PoisonError};

use anyhow::{Context, anyhow};
use idleway::Handle;
use idleway::admin::{Admin, Options, Reload};
use idleway::config::AdminPlan;

use crate::listener;
use crate::reload::Wishes;
use crate::token::TokenFile;

/// The socket of the admin API, before the gateway is there.
#[derive(Debug)]
pub(crate) struct Door(TcpListener);

/// The admin API at work.
#[derive(Debug)]
pub(crate) struct Desk {
    /// Once more, for a process that takes this one's place.
    socket: TcpListener,
    admin: Admin,
    _token: Option<TokenFile>,
}

/// The desk, for whoever closes it before the program ends.
#[derive(Debug, Clone, Default)]
pub(crate) struct Shared(Arc<Mutex<Option<Desk>>>);

impl Shared {
    pub(crate) fn new(desk: Option<Desk>) -> Self {
        Self(Arc::new(Mutex::new(desk)))
    }

    /// Its socket, once more; none where there is no desk.
    #[cfg(unix)]
    pub(crate) fn socket(&self) -> std::io::Result<Option<TcpListener>> {
        let desk = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        desk.as_ref().map(|desk| desk.socket.try_clone()).transpose()
    }

    /// The desk itself: dropped, it is closed.
    pub(crate) fn take(&self) -> Option<Desk> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).take()
    }
}

impl Desk {
    /// The address of the dashboard by which whoever opens it may change something, once.
    pub(crate) fn invitation(&self) -> String {
        let url = listener::url(self.admin.address());
        self.admin.invite().map_or_else(|| url.clone(), |key| format!("{url}/#key={key}"))
    }
}

impl Door {
    /// At a socket that listens already.
    pub(crate) fn of(socket: TcpListener) -> Self {
        Self(socket)
    }

    /// The socket of the process before, where the Plan names the same address.
    #[cfg(unix)]
    pub(crate) fn inherited(plan: &AdminPlan, socket: Option<TcpListener>) -> Option<Self> {
        let own = socket.as_ref()?.local_addr().ok()?;
        let address = plan.listen?;
        let is_the_same = own == address || (address.port() == 0 && own.ip() == address.ip());
        socket.filter(|_| is_the_same).map(Self)
    }

    /// Listens where the Plan says, or what to write `instead` is told; none where it says nowhere. That the default address is taken is no reason not to serve.
    ///
    /// # Errors
    /// Another address cannot be listened on.
    pub(crate) fn open(plan: &AdminPlan, instead: fn(SocketAddr) -> String) -> anyhow::Result<Option<Self>> {
        let at = |address| Self::at(address, address == AdminPlan::LISTEN, instead);
        plan.listen.map_or(Ok(None), at)
    }

    fn at(
        address: SocketAddr,
        is_usual: bool,
        instead: fn(SocketAddr) -> String,
    ) -> anyhow::Result<Option<Self>> {
        match listener::listen(address) {
            Ok(socket) => Ok(Some(Self(socket))),
            Err(error) if is_usual => {
                tracing::warn!(
                    %address, %error,
                    "there is no admin API: its default address cannot be had; set `admin` to another one, or to false"
                );
                Ok(None)
            }
            Err(error) => {
                let explained = listener::explain(address, &error, instead);
                Err(explained.context("the admin API"))
            }
        }
    }

    /// Answers there for this gateway.
    ///
    /// # Errors
    /// Others reach it and there is no token; or there is no thread to be had.
    pub(crate) fn staff(
        self,
        plan: &AdminPlan,
        gateway: Handle,
        wishes: Option<Wishes>,
    ) -> anyhow::Result<Desk> {
        let address = self.0.local_addr().context("the admin API has no address")?;
        let mut options = Options::default();
        let file = if plan.token.is_some() || !address.ip().to_canonical().is_loopback() {
            None
        } else {
            token_of(address, &mut options)
        };
        options.reload = wishes.map(|wishes| -> Reload {
            Box::new(move || {
                let wishes = wishes.clone();
                Box::pin(async move { wishes.reload().await })
            })
        });
        let socket = self.0.try_clone().context("the socket of the admin API")?;
        let admin = Admin::start(gateway, self.0, options).map_err(|error| {
            anyhow!("{error}\n    hint: admin_token = \"${{file:/etc/idleway/admin-token}}\", or listen on 127.0.0.1")
        })?;
        let path = file.as_ref().map(|file| file.path().display().to_string());
        tracing::info!(url = listener::url(admin.address()), token = path, "the admin API answers here");
        Ok(Desk { socket, admin, _token: file })
    }
}

/// A token of its own; none where there is no place for it.
fn token_of(address: SocketAddr, options: &mut Options) -> Option<TokenFile> {
    match TokenFile::write(address.port()) {
        Ok((token, file)) => {
            options.token = Some(token);
            Some(file)
        }
        Err(error) => {
            tracing::warn!(
                error = format!("{error:#}"),
                "nothing can be changed by the admin API: there is no place for a token; set `admin_token`"
            );
            None
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instead(to: SocketAddr) -> String {
        format!("--admin {to}")
    }

    #[test]
    fn only_the_default_address_may_be_taken() {
        let taken = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = taken.local_addr().unwrap();
        assert!(Door::at(address, true, instead).unwrap().is_none());
        let told = format!("{:#}", Door::at(address, false, instead).unwrap_err());
        assert!(told.starts_with(&format!("the admin API: {address} is taken by another program")), "{told}");
        assert!(told.contains("choose another port: --admin 127.0.0.1:"), "{told}");
        drop(taken);
        assert!(Door::at(address, false, instead).unwrap().is_some());
    }
}
