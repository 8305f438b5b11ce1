defmodule Bench.Pure.Field do
  # One line of a known header field, put before those that were read: the last line is the first to be read.
  @moduledoc false

  import Bench.Pure.Scan
  alias Bench.Pure.{Number, Scan, Value}

  @max_values 256
  @max_hops 64
  @max_number 0xFFFFFFFF

  @doc "Reads the text of a line into the header map."
  @spec put(atom, String.t(), map) :: map
  def put(:via, "", _headers), do: malformed()
  def put(:via, text, headers), do: add(headers, :via, text, &Value.via/1, @max_hops)
  def put(:route, text, headers), do: add(headers, :route, text, &Value.address/1, @max_hops)

  def put(:record_route, text, headers),
    do: add(headers, :record_route, text, &Value.address/1, @max_hops)

  def put(:contact, text, %{contact: "*"}) when is_binary(text), do: malformed()
  def put(:contact, "*", headers), do: set(headers, :contact, "*")
  def put(:contact, text, headers), do: add(headers, :contact, text, &Value.address/1)
  def put(:from, text, headers), do: set(headers, :from, only(text, &Value.address/1))
  def put(:to, text, headers), do: set(headers, :to, only(text, &Value.address/1))
  def put(:call_id, text, headers), do: set(headers, :call_id, only(text, &Value.call_id/1))
  def put(:cseq, text, headers), do: set(headers, :cseq, only(text, &Value.cseq/1))
  def put(:max_forwards, text, headers), do: count(headers, :max_forwards, text, 255)

  for key <- [:content_length, :expires, :min_expires] do
    def put(unquote(key), text, headers), do: count(headers, unquote(key), text, @max_number)
  end

  for key <- [
        :allow,
        :content_encoding,
        :content_language,
        :proxy_require,
        :require,
        :supported,
        :unsupported
      ] do
    def put(unquote(key), text, headers), do: add(headers, unquote(key), text, &Scan.token/1)
  end

  for key <- [:organization, :server, :subject, :user_agent] do
    def put(unquote(key), text, headers), do: set(headers, unquote(key), Value.text(text))
  end

  for key <- [:accept_encoding, :accept_language, :reason] do
    def put(unquote(key), text, headers),
      do: add(headers, unquote(key), text, &Value.token_params/1)
  end

  for key <- [:alert_info, :call_info, :error_info] do
    def put(unquote(key), text, headers), do: add(headers, unquote(key), text, &Value.info/1)
  end

  for key <- [:authorization, :proxy_authenticate, :proxy_authorization, :www_authenticate] do
    def put(unquote(key), text, headers), do: add(headers, unquote(key), text, &Value.auth/1)
  end

  def put(:accept, text, headers), do: add(headers, :accept, text, &Value.media_type/1)
  def put(:warning, text, headers), do: add(headers, :warning, text, &Number.warning/1)

  def put(:in_reply_to, text, headers),
    do: add(headers, :in_reply_to, text, &Value.call_id_in_list/1)

  def put(:p_asserted_identity, text, headers),
    do: add(headers, :p_asserted_identity, text, &Value.address/1)

  def put(:reply_to, text, headers), do: set(headers, :reply_to, only(text, &Value.address/1))
  def put(:priority, text, headers), do: set(headers, :priority, only(text, &Scan.token/1))
  def put(:date, text, headers), do: set(headers, :date, only(text, &Number.date/1))

  def put(:timestamp, text, headers),
    do: set(headers, :timestamp, only(text, &Number.timestamp/1))

  def put(:content_type, text, headers),
    do: set(headers, :content_type, only(text, &Value.media_type/1))

  def put(:content_disposition, text, headers),
    do: set(headers, :content_disposition, only(text, &Value.token_params/1))

  def put(:authentication_info, text, headers),
    do: set(headers, :authentication_info, only(text, &Value.pairs/1))

  def put(:mime_version, text, headers),
    do: set(headers, :mime_version, only(text, &Number.mime_version/1))

  def put(:retry_after, text, headers),
    do: set(headers, :retry_after, only(text, &Number.retry_after/1))

  defp only("", _one), do: malformed()

  defp only(text, one) do
    {value, rest} = one.(text)
    done(rest)
    value
  end

  defp count(headers, key, text, max) do
    {number, rest} = number(text, max)
    done(rest)
    set(headers, key, number)
  end

  # What stands once.
  defp set(headers, key, _value) when is_map_key(headers, key), do: malformed()
  defp set(headers, key, value), do: Map.put(headers, key, value)

  defp add(headers, key, text, one, max \\ @max_values) do
    values = Value.list(text, one, max)

    case headers do
      %{^key => more} ->
        if length(values) + length(more) > max, do: malformed()
        %{headers | key => values ++ more}

      _first ->
        Map.put(headers, key, values)
    end
  end
end
