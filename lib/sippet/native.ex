defmodule Sippet.Native do
  # The only module that names the NIF. Above it are Sippet.Message, Sippet.URI and Sippet.SDP for the message layer, and the
  # modules of a stack for the engine. Each stub says on which scheduler it runs and what bounds it: a call on a normal
  # scheduler ends within a millisecond.
  @moduledoc false

  alias Sippet.{Message, ParseError, SDP, URI, WriteError}

  @on_load :load

  # Longer input goes to a dirty scheduler, which costs a hand-over but keeps no other process waiting.
  @max_normal_bytes 16_384

  # Words that most messages have. As a constant they are literals, which parsed messages refer to instead of having their
  # own. `native/sippet_nif/src/words.rs` has the same list, and refuses to be loaded with another.
  @words {"", "sip", "sips", "tel", "urn", "branch", "rport", "received", "tag", "lr", "maddr",
          "ttl", "expires", "q", "handling", "cause", "text", "transport", "ob", "reg-id",
          "+sip.instance", "purpose", "charset", "boundary", "level", "duration", "username",
          "realm", "nonce", "uri", "response", "algorithm", "cnonce", "qop", "nc", "opaque",
          "stale", "domain", "nextnonce", "*", "0", "1", "5060", "required", "optional",
          "session", "MD5", "SHA-256", "auth", "auth,auth-int", "00000001", "FALSE", "false",
          "Digest", "3600", "utf-8", "UTF-8", "application", "sdp", "plain", "multipart", "mixed",
          "message", "sipfrag", "simple-message-summary", "pidf+xml", "dtmf-relay", "ACK", "BYE",
          "CANCEL", "INFO", "INVITE", "MESSAGE", "NOTIFY", "OPTIONS", "PRACK", "PUBLISH", "REFER",
          "REGISTER", "SUBSCRIBE", "UPDATE", "100rel", "timer", "replaces", "path", "outbound",
          "gruu", "norefersub", "eventlist", "from-change", "histinfo", "join", "precondition",
          "tdialog", "sec-agree", "identity", "gzip", "OK", "Trying", "Ringing",
          "Session Progress", "Unauthorized", "Proxy Authentication Required",
          "Request Terminated", "Not Found", "Busy Here", "Accepted", "127.0.0.1", "::1", ";lr",
          ";user=phone", ";transport=udp", ";transport=tcp", ";transport=tls", ";transport=ws",
          ";ob", "Session-Expires", "Min-SE", "Event", "Allow-Events", "Refer-To", "Referred-By",
          "Path", "Privacy", "RSeq", "RAck", "P-Preferred-Identity", "Subscription-State",
          "Replaces", "Diversion", "History-Info", "P-Charging-Vector", "P-Access-Network-Info",
          "Accept-Contact", "SIP-ETag", "Service-Route"}

  @typedoc """
  `{max_message_bytes, max_fields, max_line_bytes, max_values, max_hops, max_parameters, max_folds}`; nil has the defaults
  of a stack.
  """
  @type limits ::
          {pos_integer, pos_integer, pos_integer, pos_integer, pos_integer, pos_integer,
           pos_integer}
          | nil

  @typedoc """
  `t:limits/0` with `max_stream_message_bytes` and `max_stream_message_ms` behind.
  """
  @type stack_limits ::
          {pos_integer, pos_integer, pos_integer, pos_integer, pos_integer, pos_integer,
           pos_integer, pos_integer, pos_integer}

  @doc false
  def load do
    path = Path.join([priv_dir(), "native", "sippet_nif"])

    case :erlang.load_nif(String.to_charlist(path), @words) do
      :ok ->
        :ok

      {:error, {reason, text}} ->
        # The VM puts this text into a warning; callers see only that the module is not available.
        hint = """
        #{text} (#{path}). It is built by `mix compile`, which needs cargo of Rust 1.91 or newer, and loads on \
        Erlang/OTP 25 or newer. A library that was built elsewhere must be for this operating system, C library and \
        processor. Where it is missing or does not fit, run `mix deps.compile sippet --force`; SIPPET_NIF_PATH may name \
        one that fits.\
        """

        {:error, {reason, String.to_charlist(hint)}}
    end
  end

  defp priv_dir do
    case :code.priv_dir(:sippet) do
      {:error, :bad_name} -> Path.join([Path.dirname(:code.which(__MODULE__)), "..", "priv"])
      directory -> List.to_string(directory)
    end
  end

  @doc "Parses one message; dirty above 16 KiB. Bounded by the bytes and by `limits`."
  @spec parse(binary, :whole | :datagram, :lenient | :strict, limits) ::
          {:ok, Message.t()} | {:error, ParseError.t()}
  def parse(data, framing, mode, limits) do
    result =
      if byte_size(data) <= @max_normal_bytes,
        do: nif_parse(data, framing, mode, limits, @words),
        else: nif_parse_dirty(data, framing, mode, limits, @words)

    with {:error, {reason, header, offset, status_code}} <- result do
      {:error,
       %ParseError{reason: reason, header: header, offset: offset, status_code: status_code}}
    end
  end

  @doc "Writes one message; dirty where the body is above 16 KiB. Bounded by the message."
  @spec write(Message.t()) :: {:ok, binary} | {:error, WriteError.t()}
  def write(message) do
    result =
      case message do
        %{body: body} when byte_size(body) > @max_normal_bytes -> nif_write_dirty(message)
        _ -> nif_write(message)
      end

    with {:error, {header, reason}} <- result do
      {:error, %WriteError{header: header, reason: reason}}
    end
  end

  @doc """
  Reads the values of one header field, its key an atom or a string; dirty above 16 KiB. Bounded by the bytes and by the
  limits of a stack. The value of an atom key is in a header map with that key alone.
  """
  @spec decode_header(atom | String.t(), [String.t()]) :: {:ok, term} | {:error, ParseError.t()}
  def decode_header(key, values) do
    result =
      if IO.iodata_length(values) <= @max_normal_bytes,
        do: nif_decode_header(key, values, @words),
        else: nif_decode_header_dirty(key, values, @words)

    with {:error, {reason, header, offset, status_code}} <- result do
      {:error,
       %ParseError{reason: reason, header: header, offset: offset, status_code: status_code}}
    end
  end

  @doc "Writes the values of one header field. Normal scheduler; bounded by the value."
  @spec encode_header(atom | String.t(), term) :: {:ok, [String.t()]} | {:error, WriteError.t()}
  def encode_header(key, value) do
    with {:error, {header, reason}} <- nif_encode_header(key, value) do
      {:error, %WriteError{header: header, reason: reason}}
    end
  end

  @doc "Parses a URI. Normal scheduler; bounded by its bytes, 1 ns each."
  @spec parse_uri(binary) :: {:ok, URI.t()} | {:error, :invalid}
  def parse_uri(text), do: nif_parse_uri(text, @words)

  @doc "Writes a URI. Normal scheduler; bounded by its bytes."
  @spec write_uri(URI.t()) :: {:ok, binary} | {:error, WriteError.t()}
  def write_uri(uri) do
    with {:error, reason} <- nif_write_uri(uri) do
      {:error, %WriteError{header: nil, reason: reason}}
    end
  end

  @doc """
  Compares two URIs, or texts of such; nil where one is none. Dirty above 16 KiB. Bounded by their bytes.
  """
  @spec equivalent_uris(URI.t() | String.t(), URI.t() | String.t(), boolean) :: boolean | nil
  def equivalent_uris(a, b, lazy) do
    result =
      if uri_size(a) + uri_size(b) <= @max_normal_bytes,
        do: nif_equivalent_uris(a, b, lazy),
        else: nif_equivalent_uris_dirty(a, b, lazy)

    if is_boolean(result), do: result
  end

  # Of pieces, those that can be taken apart into many.
  defp uri_size(text) when is_binary(text), do: byte_size(text)

  defp uri_size(%{parameters: parameters, headers: headers}),
    do: piece_size(parameters) + piece_size(headers)

  defp piece_size(piece) when is_binary(piece), do: byte_size(piece)
  defp piece_size(_none), do: 0

  @doc """
  The messages of a stream, as far as they have come; dirty above 16 KiB. Bounded by the bytes, and by the message that
  they complete.
  """
  @spec framer_push(reference, binary, integer) ::
          {[Sippet.Transport.Framer.frame()], integer | nil}
  def framer_push(framer, data, now) do
    if byte_size(data) <= @max_normal_bytes,
      do: nif_framer_push(framer, data, now),
      else: nif_framer_push_dirty(framer, data, now)
  end

  @doc "SHA-512/256 (FIPS 180-4), 32 bytes; dirty above 16 KiB. Bounded by the bytes, 1.3 ns each."
  @spec sha512_256(binary) :: binary
  def sha512_256(data) do
    if byte_size(data) <= @max_normal_bytes,
      do: nif_sha512_256(data),
      else: nif_sha512_256_dirty(data)
  end

  @doc "A tag of 16 hexadecimal digits, SipHash of `identity` under a secret of 16 bytes; dirty above 16 KiB. Bounded by the bytes."
  @spec request_tag(<<_::128>>, binary) :: String.t()
  def request_tag(secret, identity) do
    if byte_size(identity) <= @max_normal_bytes,
      do: nif_request_tag(secret, identity),
      else: nif_request_tag_dirty(secret, identity)
  end

  @typedoc "`{max_bytes, max_lines, max_line_bytes, max_media, max_attributes}`"
  @type sdp_limits :: {pos_integer, pos_integer, pos_integer, pos_integer, pos_integer}

  @doc "Parses a session description; dirty above 16 KiB. Bounded by the bytes and by `limits`."
  @spec sdp_parse(binary, :lenient | :strict, sdp_limits) ::
          {:ok, SDP.t()} | {:error, SDP.ParseError.t()}
  def sdp_parse(data, mode, limits) do
    result =
      if byte_size(data) <= @max_normal_bytes,
        do: nif_sdp_parse(data, mode, limits, @words),
        else: nif_sdp_parse_dirty(data, mode, limits, @words)

    with {:error, {reason, line, offset}} <- result do
      {:error, %SDP.ParseError{reason: reason, line: line, offset: offset}}
    end
  end

  # Lines are 64 bytes or so, and their length is not known before they are written.
  @max_normal_lines 256

  @doc "Writes a session description; dirty above 256 lines. Bounded by the description."
  @spec sdp_write(SDP.t()) :: {:ok, binary} | {:error, SDP.WriteError.t()}
  def sdp_write(sdp) do
    result =
      if sdp_lines(sdp) <= @max_normal_lines,
        do: nif_sdp_write(sdp),
        else: nif_sdp_write_dirty(sdp)

    with {:error, {field, reason}} <- result do
      {:error, %SDP.WriteError{field: field, reason: reason}}
    end
  end

  # Attributes and media descriptions. What has another shape than the documented one counts for nothing here.
  defp sdp_lines(%{attributes: attributes, media: media}) do
    sdp_lines(media, count(attributes, 0))
  end

  defp sdp_lines([media | rest], lines) when lines <= @max_normal_lines do
    attributes = if is_map(media), do: Map.get(media, :attributes)
    sdp_lines(rest, count(attributes, lines + 1))
  end

  defp sdp_lines(_rest, lines), do: lines

  defp count([_ | rest], lines) when lines <= @max_normal_lines, do: count(rest, lines + 1)
  defp count(_rest, lines), do: lines

  @doc "The reasons of `Sippet.SDP.ParseError`. Normal scheduler, constant time."
  @spec sdp_parse_reasons() :: [atom]
  def sdp_parse_reasons, do: :erlang.nif_error(:not_loaded)

  @doc "The reasons of `Sippet.SDP.WriteError`. Normal scheduler, constant time."
  @spec sdp_write_reasons() :: [atom]
  def sdp_write_reasons, do: :erlang.nif_error(:not_loaded)

  @doc """
  What a WebSocket brings: its events in their order, what is to be sent at once, and until when the message has to be
  complete that has begun. Dirty above 16 KiB. Bounded by the bytes, and by the message that they complete.
  """
  @spec websocket_push(reference, binary, integer) ::
          {[{:message, binary} | :ping | :pong | :closed | {:failed, 1000..4999}], binary,
           integer | nil}
  def websocket_push(websocket, data, now) do
    if byte_size(data) <= @max_normal_bytes,
      do: nif_websocket_push(websocket, data, now),
      else: nif_websocket_push_dirty(websocket, data, now)
  end

  @doc "The frame of a message; empty after a Close. Dirty above 16 KiB. Bounded by the bytes."
  @spec websocket_message(reference, binary) :: binary
  def websocket_message(websocket, message) do
    if byte_size(message) <= @max_normal_bytes,
      do: nif_websocket_message(websocket, message),
      else: nif_websocket_message_dirty(websocket, message)
  end

  @doc "The reasons of `Sippet.ParseError`. Normal scheduler, constant time."
  @spec parse_reasons() :: [atom]
  def parse_reasons, do: :erlang.nif_error(:not_loaded)

  @doc "The reasons of `Sippet.WriteError`. Normal scheduler, constant time."
  @spec write_reasons() :: [atom]
  def write_reasons, do: :erlang.nif_error(:not_loaded)

  @doc "The version of the library. Normal scheduler, constant time."
  @spec version() :: String.t()
  def version, do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 16 KiB.
  @doc false
  def nif_parse(_data, _framing, _mode, _limits, _words), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_parse_dirty(_data, _framing, _mode, _limits, _words), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: the head is bounded by what the program put into it, the body by 16 KiB.
  @doc false
  def nif_write(_message), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_write_dirty(_message), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 16 KiB.
  @doc false
  def nif_decode_header(_key, _values, _words), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_decode_header_dirty(_key, _values, _words), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: bounded by what the program put into the value.
  @doc false
  def nif_encode_header(_key, _value), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler.
  @doc false
  def nif_parse_uri(_text, _words), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler.
  @doc false
  def nif_write_uri(_uri), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 16 KiB.
  @doc false
  def nif_equivalent_uris(_a, _b, _lazy), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_equivalent_uris_dirty(_a, _b, _lazy), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def framer_new(_limits), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 16 KiB, and a copy of the message that they complete.
  @doc false
  def nif_framer_push(_framer, _data, _now), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_framer_push_dirty(_framer, _data, _now), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def framer_expect_pong(_framer), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 16 KiB.
  @doc false
  def nif_sha512_256(_data), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_sha512_256_dirty(_data), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 16 KiB.
  @doc false
  def nif_request_tag(_secret, _identity), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_request_tag_dirty(_secret, _identity), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 16 KiB.
  @doc false
  def nif_sdp_parse(_data, _mode, _limits, _words), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_sdp_parse_dirty(_data, _mode, _limits, _words), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 256 lines.
  @doc false
  def nif_sdp_write(_sdp), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_sdp_write_dirty(_sdp), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def websocket_new(_side, _limits), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 16 KiB, and a copy of the message that they complete.
  @doc false
  def nif_websocket_push(_websocket, _data, _now), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_websocket_push_dirty(_websocket, _data, _now), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 16 KiB.
  @doc false
  def nif_websocket_message(_websocket, _message), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler.
  @doc false
  def nif_websocket_message_dirty(_websocket, _message), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def websocket_ping(_websocket), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def websocket_close(_websocket, _status_code), do: :erlang.nif_error(:not_loaded)

  # The transaction engine. Each call takes one lock for one step; what it costs is told by the size of the message, so the
  # same bound holds as above. The terms are those of native/sippet_nif/src/engine.rs.

  # Normal scheduler, constant time.
  @doc false
  def engine_new(_shards, _seed, _config, _limits, _max_start_delay_ms),
    do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def engine_set_core(_engine, _module), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def engine_close(_engine), do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler: as long as it takes to find all pages that are free.
  @doc false
  def engine_trim, do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def telemetry_listen(_mask), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def engine_closed(_engine), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def engine_drain(_engine, _draining), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: 256 transactions, and the caller's time slice.
  @doc false
  def engine_empty(_engine), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler up to 16 KiB, dirty above.
  @doc false
  def engine_receive(engine, data, transport, connection, source, reliable, force_rport) do
    if byte_size(data) <= @max_normal_bytes do
      nif_engine_receive(engine, data, transport, connection, source, reliable, force_rport)
    else
      nif_engine_receive_dirty(
        engine,
        data,
        transport,
        connection,
        source,
        reliable,
        force_rport
      )
    end
  end

  @doc false
  def nif_engine_receive(_engine, _data, _id, _connection, _source, _reliable, _force_rport),
    do: :erlang.nif_error(:not_loaded)

  @doc false
  def nif_engine_receive_dirty(
        _engine,
        _data,
        _id,
        _connection,
        _source,
        _reliable,
        _force_rport
      ),
      do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: bounded by the head of a message within the limits.
  @doc false
  def engine_reject(_engine, _head, _transport, _connection, _source, _status_code),
    do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: bounded by the head that the program made; a body above 16 KiB is dirty.
  @doc false
  def engine_send_request(engine, message, transport, connection, remote, reliable) do
    case message do
      %{body: body} when byte_size(body) > @max_normal_bytes ->
        nif_engine_send_request_dirty(
          engine,
          message,
          transport,
          connection,
          remote,
          reliable
        )

      _ ->
        nif_engine_send_request(engine, message, transport, connection, remote, reliable)
    end
  end

  @doc false
  def nif_engine_send_request(_engine, _message, _id, _connection, _remote, _reliable),
    do: :erlang.nif_error(:not_loaded)

  @doc false
  def nif_engine_send_request_dirty(_engine, _message, _id, _connection, _remote, _reliable),
    do: :erlang.nif_error(:not_loaded)

  # As engine_send_request; the calling process is watched from here on.
  @doc false
  def engine_request(engine, message, transport, connection, remote, reliable, caller) do
    case message do
      %{body: body} when byte_size(body) > @max_normal_bytes ->
        nif_engine_request_dirty(
          engine,
          message,
          transport,
          connection,
          remote,
          reliable,
          caller
        )

      _ ->
        nif_engine_request(engine, message, transport, connection, remote, reliable, caller)
    end
  end

  @doc false
  def nif_engine_request(_engine, _message, _id, _connection, _remote, _reliable, _caller),
    do: :erlang.nif_error(:not_loaded)

  @doc false
  def nif_engine_request_dirty(
        _engine,
        _message,
        _id,
        _connection,
        _remote,
        _reliable,
        _caller
      ),
      do: :erlang.nif_error(:not_loaded)

  # As engine_send_request, or with a caller as engine_request. The way is `{transport, connection, remote, reliable, any_length}`.
  @doc false
  def engine_route(engine, message, way, plan, caller) do
    case message do
      %{body: body} when byte_size(body) > @max_normal_bytes ->
        nif_engine_route_dirty(engine, message, way, plan, caller)

      _ ->
        nif_engine_route(engine, message, way, plan, caller)
    end
  end

  @doc false
  def nif_engine_route(_engine, _message, _way, _plan, _caller),
    do: :erlang.nif_error(:not_loaded)

  @doc false
  def nif_engine_route_dirty(_engine, _message, _way, _plan, _caller),
    do: :erlang.nif_error(:not_loaded)

  # Dirty CPU scheduler: copies a message of any length.
  @doc false
  def engine_proceed(_engine, _address, _branch, _protocol, _way, _plan),
    do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def engine_give_up(_engine, _address), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one look-up a shard.
  @doc false
  def engine_target(_engine, _key), do: :erlang.nif_error(:not_loaded)

  # As engine_begin.
  @doc false
  def engine_collect(engine, address), do: nif_engine_collect(engine, address, @words)

  @doc false
  def nif_engine_collect(_engine, _address, _words), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: makes one CANCEL of the head of an INVITE.
  @doc false
  def engine_abandon(_engine, _address), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one look-up a shard, and as engine_abandon.
  @doc false
  def engine_cancel(_engine, _key), do: :erlang.nif_error(:not_loaded)

  # As engine_send_request.
  @doc false
  def engine_send_response(engine, message, target, until_ack) do
    case message do
      %{body: body} when byte_size(body) > @max_normal_bytes ->
        nif_engine_send_response_dirty(engine, message, target, until_ack)

      _ ->
        nif_engine_send_response(engine, message, target, until_ack)
    end
  end

  @doc false
  def nif_engine_send_response(_engine, _message, _target, _until_ack),
    do: :erlang.nif_error(:not_loaded)

  @doc false
  def nif_engine_send_response_dirty(_engine, _message, _target, _until_ack),
    do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: bounded by the head of the request.
  @doc false
  def engine_stateless_tag(_engine, _request), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: bounded by the head of the request.
  @doc false
  def engine_forget(_engine, _request), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def engine_transport_error(_engine, _address, _reason), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one look-up a shard.
  @doc false
  def engine_find(_engine, _key), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one look-up a shard.
  @doc false
  def engine_terminate(_engine, _key), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: the terms of one message, whose body is not copied. Above 16 KiB of message that is still the head,
  # which the limits bound.
  @doc false
  def engine_begin(engine, address), do: nif_engine_begin(engine, address, @words)

  @doc false
  def nif_engine_begin(_engine, _address, _words), do: :erlang.nif_error(:not_loaded)

  # As engine_begin.
  @doc false
  def engine_take(engine, address, reductions),
    do: nif_engine_take(engine, address, reductions, @words)

  @doc false
  def nif_engine_take(_engine, _address, _reductions, _words), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def engine_fail(_engine, _address), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler. For the test of what a fault of the native code costs.
  @doc false
  def engine_panic(_engine, _shard), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 64 timers a shard, 128 effects, and no further shard after 0.3 ms.
  @doc false
  def engine_tick(_engine, _from), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time. Of a simulation only.
  @doc false
  def engine_set_time(_engine, _now_ms), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one lock a shard, and a look at each process that runs or waits. Of a simulation only.
  @doc false
  def engine_outlook(_engine), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: at most 1024 slots and 100 transactions.
  @doc false
  def engine_list(_engine, _shard, _slot), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one look-up a shard.
  @doc false
  def engine_info(_engine, _key), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one lock an address, of which the caller gives at most 1000.
  @doc false
  def engine_select_open(_engine, _addresses), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one lock a shard.
  @doc false
  def engine_count(_engine), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one lock a shard.
  @doc false
  def engine_census(_engine), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: a window of the admission is closed at most.
  @doc false
  def engine_standing(_engine), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler, constant time.
  @doc false
  def engine_state(_engine), do: :erlang.nif_error(:not_loaded)

  # Normal scheduler: one lock a shard.
  @doc false
  def engine_counters(_engine), do: :erlang.nif_error(:not_loaded)
end
