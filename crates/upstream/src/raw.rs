//! Behind a CONNECT that ends here: a connection of its own, for bytes as they are.

use std::rc::Rc;

use crate::dial::{Dialed, dial};
use crate::response::Inside;
use crate::send::Call;
use crate::{BodyKind, Facts, Response, ResponseBody, ResponseHead, SendError};

/// Connects, and says 200 in the endpoint's place.
pub(crate) async fn open<B>(call: &Call<'_>) -> Result<Box<Response<B>>, SendError>
where
    B: crate::Body,
{
    let Dialed { mut io, tls, local, counted, dialed } = dial(call.to, call.options, call.fallback()).await?;
    io.attach(counted);
    let facts = Rc::new(Facts { protocol: "", local, tls, dialed });
    if let Some(watch) = &call.options.watch {
        watch.sending(&facts);
    }
    let body = ResponseBody::new(BodyKind::None, Inside::Raw(io));
    Ok(Box::new(Response { head: ResponseHead::new(200), body, facts, reused: false }))
}
