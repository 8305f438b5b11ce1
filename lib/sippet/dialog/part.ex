defmodule Sippet.Dialog.Part do
  # The parts of a message that a dialog is made of. Called by the modules of Sippet.Dialog only.
  @moduledoc false

  alias Sippet.{DialogError, Message, URI}
  alias Sippet.Message.Headers

  @needed [:call_id, :contact, :cseq, :from, :record_route, :to, :via]

  @doc "A message with no more than a dialog takes from it, and without any reference to its datagram."
  @spec needed(Message.t()) :: Message.t()
  def needed(%Message{start_line: start_line, headers: headers}),
    do: Message.copy(%Message{start_line: start_line, headers: Map.take(headers, @needed)})

  @doc "The tag of From or To; an empty one is none."
  @spec tag(Message.t(), :from | :to) :: String.t() | nil
  def tag(%Message{headers: headers}, header) do
    case headers do
      %{^header => {_display_name, _uri, %{"tag" => tag}}} when tag != "" -> tag
      _other -> nil
    end
  end

  @spec name_addr(Message.t(), :from | :to) :: {String.t(), URI.t()}
  def name_addr(%Message{headers: headers}, header) do
    {display_name, uri, _parameters} = Map.fetch!(headers, header)
    {display_name, uri}
  end

  @doc "The first Contact."
  @spec contact(Message.t()) :: Headers.address() | nil
  def contact(%Message{headers: %{contact: [{_name, %URI{}, _parameters} = contact | _]}}),
    do: contact

  def contact(_message), do: nil

  @spec contact_uri(Message.t()) :: URI.t() | nil
  def contact_uri(message) do
    with {_display_name, uri, _parameters} <- contact(message), do: uri
  end

  @spec record_route(Message.t()) :: [Headers.address()]
  def record_route(%Message{headers: headers}), do: Map.get(headers, :record_route, [])

  @doc "Tells whether a request went to a sips URI over TLS (§12.1.1, §12.1.2)."
  @spec secure?(Message.request()) :: boolean
  def secure?(%Message{start_line: %{request_uri: %{scheme: "sips"}}, headers: headers}) do
    case headers do
      %{via: [{_version, protocol, _sent_by, _parameters} | _]} ->
        protocol in [:tls, :wss, "TLS-SCTP"]

      _other ->
        false
    end
  end

  def secure?(_request), do: false

  @doc "Tells whether a response is one to this request."
  @spec same_transaction(Message.request(), Message.response()) :: :ok | {:error, DialogError.t()}
  def same_transaction(%Message{} = request, %Message{} = response) do
    same =
      Map.get(request.headers, :call_id) == Map.get(response.headers, :call_id) and
        Map.get(request.headers, :cseq) == Map.get(response.headers, :cseq) and
        tag(request, :from) == tag(response, :from)

    if same, do: :ok, else: {:error, %DialogError{reason: :mismatch}}
  end

  @spec cseq(Message.t()) :: :ok | {:error, DialogError.t()}
  def cseq(%Message{headers: %{cseq: {number, _method}}}) when is_integer(number), do: :ok
  def cseq(_message), do: missing(:cseq)

  @doc "Tells whether a request has what makes a dialog."
  @spec complete(Message.request()) :: :ok | {:error, DialogError.t()}
  def complete(%Message{headers: headers} = request) do
    cond do
      not is_binary(Map.get(headers, :call_id)) -> missing(:call_id)
      not match?(%{from: {_name, _uri, %{}}}, headers) -> missing(:from)
      not match?(%{to: {_name, _uri, %{}}}, headers) -> missing(:to)
      true -> cseq(request)
    end
  end

  defp missing(header),
    do: {:error, %DialogError{reason: :missing_field, header: header, status_code: 400}}
end
