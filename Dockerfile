# One static binary on nothing. Build: docker build -t autoscalebot .
#
# Alpine's Rust links against musl, statically; build-base brings the C compiler that the cryptography (ring) needs.
FROM rust:1.95-alpine AS build
RUN apk add --no-cache build-base ca-certificates
WORKDIR /source
COPY . .
RUN cargo build --release --locked --package autoscalebot

FROM scratch
# TLS is checked against the authorities of the system; an empty system has none.
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /source/target/release/autoscalebot /autoscalebot
# A number, because there is no list of users either.
USER 65532:65532
ENTRYPOINT ["/autoscalebot"]
