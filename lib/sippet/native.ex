defmodule Sippet.Native do
  # The only module that names the NIF. Above it are Sippet.Message for the message layer, the modules of a stack for the
  # engine, and Sippet.Native.URI, Sippet.Native.SDP and Sippet.Native.Hash with a choice of schedulers of their own. Each stub says on which
  # scheduler it runs and what bounds it: a call on a normal scheduler ends within a millisecond.
  @moduledoc false

  alias Sippet.{Message, ParseError, WriteError}
  alias Sippet.Native.Words

  @on_load :load

  # Longer input goes to a dirty scheduler, which costs a hand-over but keeps no other process waiting.
  @max_normal_bytes 16_384

  # As a constant they are literals, which parsed messages refer to instead of having their own.
  @words Words.all()

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

  # Normal scheduler, constant time.
  @doc false
  def engine_crowd(_engine, _level), do: :erlang.nif_error(:not_loaded)

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
  def engine_proceed(_engine, _address, _branch, _protocol, _port, _way, _plan),
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
