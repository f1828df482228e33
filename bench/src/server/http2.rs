//! HTTP/2 by prior knowledge: a page of 100 bytes, or a unary gRPC call, to whatever is asked.

use bytes::Bytes;
use h2::RecvStream;
use h2::server::SendResponse;
use http::{HeaderMap, HeaderName, HeaderValue, Request, Response, header};
use tokio::net::TcpStream;

/// Serves one connection: what has arrived together is answered together.
///
/// # Errors
/// The connection broke.
pub async fn connection<Answering>(
    stream: TcpStream,
    answer: impl Fn(Request<RecvStream>, SendResponse<Bytes>) -> Answering,
) -> anyhow::Result<()>
where
    Answering: Future<Output = Result<(), h2::Error>> + Send + 'static,
{
    let mut connection = h2::server::Builder::new()
        .max_concurrent_streams(1024)
        .initial_connection_window_size(1 << 20)
        .handshake::<_, Bytes>(stream)
        .await?;
    while let Some(request) = connection.accept().await {
        let (request, respond) = request?;
        tokio::spawn(answer(request, respond));
    }
    Ok(())
}

/// The fields are those of nginx.
pub async fn page(_: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let head = head([
        (header::SERVER, "bench"),
        (header::DATE, "Sun, 06 Nov 1994 08:49:37 GMT"),
        (header::CONTENT_TYPE, "application/octet-stream"),
        (header::CONTENT_LENGTH, "100"),
    ]);
    respond.send_response(head, false)?.send_data(Bytes::from_static(&[b'x'; 100]), true)
}

/// A frame of gRPC: not compressed, four bytes of length, 100 of message.
static MESSAGE: [u8; 105] = {
    let mut frame = [b'x'; 105];
    [frame[0], frame[1], frame[2], frame[3], frame[4]] = [0, 0, 0, 0, 100];
    frame
};

/// One message of 100 bytes, and `grpc-status: 0` in trailers.
pub async fn call(request: Request<RecvStream>, mut respond: SendResponse<Bytes>) -> Result<(), h2::Error> {
    let mut body = request.into_body();
    while let Some(chunk) = body.data().await {
        let length = chunk?.len();
        body.flow_control().release_capacity(length)?;
    }
    let mut stream = respond.send_response(head([(header::CONTENT_TYPE, "application/grpc")]), false)?;
    stream.send_data(Bytes::from_static(&MESSAGE), false)?;
    let mut trailers = HeaderMap::new();
    trailers.insert("grpc-status", HeaderValue::from_static("0"));
    stream.send_trailers(trailers)
}

fn head<const N: usize>(fields: [(HeaderName, &'static str); N]) -> Response<()> {
    let mut head = Response::new(());
    for (name, value) in fields {
        head.headers_mut().insert(name, HeaderValue::from_static(value));
    }
    head
}
