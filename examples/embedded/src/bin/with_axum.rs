//! The gateway behind an axum application's own routes: `with_axum http://127.0.0.1:6000 …`.
//!
//! What the application has no route for goes to the backends, on the application's own work-stealing runtime.

use std::error::Error;
use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request};
use axum::middleware::{Next, from_fn};
use axum::routing::get;
use axum::{Router, response::Response};
use idleway::{Gateway, Mount, Peer, Plan};

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let urls: Vec<String> = std::env::args().skip(1).collect();
    let gateway = Gateway::builder(Plan::from_urls(&urls)?).mount()?;
    let slots = |gateway: Mount| async move { format!("{:?}\n", gateway.slots()) };
    let own = gateway.clone();
    let application = Router::new()
        .route("/slots", get(move || slots(own)))
        .fallback_service(gateway)
        .layer(from_fn(with_peer))
        .into_make_service_with_connect_info::<SocketAddr>();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await?;
    println!("http://{}", listener.local_addr()?);
    axum::serve(listener, application).await?;
    Ok(())
}

/// Tells the gateway whom a request comes from.
async fn with_peer(ConnectInfo(peer): ConnectInfo<SocketAddr>, mut request: Request, next: Next) -> Response {
    request.extensions_mut().insert(Peer(peer));
    next.run(request).await
}
