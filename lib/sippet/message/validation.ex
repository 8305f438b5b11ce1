defmodule Sippet.Message.Validation do
  # What a message needs before it is sent, or after it came. Called by Sippet.Message and Sippet; its texts are part
  # of the API. Any term may be in a message that a program made: nothing here raises.
  @moduledoc false

  alias Sippet.Message
  alias Sippet.Message.{RequestLine, StatusLine}

  @magic_cookie "z9hG4bK"

  # These carry one message in one frame, so that its end needs no Content-Length (§18.3, RFC 7118 §5).
  @framed_protocols [:udp, :ws, :wss]

  @spec validate(Message.t()) :: :ok | {:error, String.t()}
  def validate(message) do
    with :ok <- start_line(message),
         :ok <- required(message),
         :ok <- body(message),
         :ok <- from_tag(message),
         do: cseq(message)
  end

  @spec validate(Message.t(), {Message.protocol(), term, term}) :: :ok | {:error, String.t()}
  def validate(message, {protocol, _host, _port}) do
    with :ok <- validate(message),
         :ok <- via_protocol(message, protocol),
         do: vias(message.headers.via)
  end

  # As validate/1, but Content-Length may be absent, as it is written anyway, and so may the tag in From of a response,
  # whose request then had none either (RFC 2543, RFC 4475 §3.4.1).
  @spec validate_for_sending(Message.t()) :: :ok | {:error, String.t()}
  def validate_for_sending(message) do
    with :ok <- start_line(message),
         :ok <- required(message),
         :ok <- length_if_given(message),
         :ok <- own_from_tag(message),
         do: cseq(message)
  end

  defp length_if_given(%{headers: %{content_length: _length}} = message), do: body(message)
  defp length_if_given(_message), do: :ok

  defp own_from_tag(%{start_line: %StatusLine{}}), do: :ok
  defp own_from_tag(message), do: from_tag(message)

  defp start_line(%{start_line: %kind{version: version}, headers: %{}})
       when kind in [RequestLine, StatusLine] do
    if version == {2, 0},
      do: :ok,
      else: {:error, "invalid status line version #{inspect(version)}"}
  end

  defp start_line(%{headers: %{}}), do: {:error, "missing start line"}
  defp start_line(_message), do: {:error, "headers are not a map"}

  defp required(%{headers: headers}) do
    case Enum.filter([:to, :from, :cseq, :call_id, :via], &(Map.get(headers, &1) in [nil, []])) do
      [] -> :ok
      missing -> {:error, "missing headers: #{inspect(missing)}"}
    end
  end

  defp body(%{headers: %{content_length: length}, body: body}) do
    if length == body_length(body),
      do: :ok,
      else: {:error, "Content-Length and message body size do not match"}
  end

  defp body(%{body: nil}), do: :ok

  defp body(%{headers: %{via: [{_version, protocol, _sent_by, _parameters} | _]}})
       when protocol in @framed_protocols,
       do: :ok

  defp body(_message), do: {:error, "No Content-Length header, but body is not nil"}

  defp body_length(nil), do: 0
  defp body_length(body) when is_binary(body), do: byte_size(body)
  defp body_length(_other), do: :none

  defp from_tag(%{headers: %{from: {_display_name, _uri, %{} = parameters}}}) do
    case parameters do
      %{"tag" => ""} -> {:error, "empty :from tag"}
      %{"tag" => tag} when is_binary(tag) -> :ok
      _other -> {:error, ":from does not have tag"}
    end
  end

  defp from_tag(_message), do: {:error, "invalid :from header"}

  defp cseq(%{start_line: %StatusLine{}}), do: :ok

  defp cseq(%{start_line: %RequestLine{method: method}, headers: %{cseq: cseq}}) do
    case cseq do
      {_number, ^method} -> :ok
      _other -> {:error, "CSeq method and request method do no match"}
    end
  end

  defp via_protocol(message, protocol) do
    case message.headers.via do
      [{_version, ^protocol, _sent_by, _parameters} | _] -> :ok
      _other -> {:error, "Via protocol doesn't match transport protocol"}
    end
  end

  defp vias([]), do: :ok
  defp vias([via | rest]), do: with(:ok <- via(via), do: vias(rest))
  defp vias(_improper), do: {:error, "invalid :via header"}

  defp via({{2, 0}, _protocol, _sent_by, %{"branch" => @magic_cookie <> _rest}}), do: :ok

  defp via({{2, 0}, _protocol, _sent_by, %{"branch" => _branch}}),
    do: {:error, "Via branch doesn't start with the magic cookie"}

  defp via({{2, 0}, _protocol, _sent_by, %{}}),
    do: {:error, "Via header doesn't have branch parameter"}

  defp via({version, _protocol, _sent_by, _parameters}),
    do: {:error, "Via version #{inspect(version)} is unknown"}

  defp via(_other), do: {:error, "invalid :via header"}
end
