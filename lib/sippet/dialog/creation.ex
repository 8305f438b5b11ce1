defmodule Sippet.Dialog.Creation do
  # A dialog out of a request and a response to it (§12.1). Called by Sippet.Dialog only.
  @moduledoc false

  alias Sippet.Dialog
  alias Sippet.Dialog.Part
  alias Sippet.{DialogError, Message}

  # §12.1, RFC 6665 §4.4.1, RFC 3515 §2.4.
  @methods [:invite, :subscribe, :notify, :refer]

  @spec uac(Message.request(), Message.response()) ::
          {:ok, Dialog.t()} | {:error, DialogError.t()}
  def uac(request, response) do
    with {:ok, request, response, dialog} <- common(request, response),
         :ok <- tagged(request, :from) do
      {number, _method} = request.headers.cseq

      {:ok,
       %{
         dialog
         | role: :uac,
           local_tag: Part.tag(request, :from),
           remote_tag: Part.tag(response, :to),
           local_uri: Part.name_addr(request, :from),
           remote_uri: Part.name_addr(request, :to),
           local_target: Part.contact(request),
           remote_target: Part.contact_uri(response) || request.start_line.request_uri,
           local_cseq: number,
           route_set: Enum.reverse(Part.record_route(response))
       }}
    end
  end

  @spec uas(Message.request(), Message.response(), keyword) ::
          {:ok, Dialog.t()} | {:error, DialogError.t()}
  def uas(request, response, options) do
    local_cseq = options |> Keyword.validate!([:local_cseq]) |> Keyword.get(:local_cseq)

    with {:ok, request, response, dialog} <- common(request, response),
         :ok <- tagged(response, :to),
         {:ok, remote_target} <- remote_target(request) do
      {number, _method} = request.headers.cseq

      {:ok,
       %{
         dialog
         | role: :uas,
           local_tag: Part.tag(response, :to),
           remote_tag: Part.tag(request, :from),
           local_uri: Part.name_addr(request, :to),
           remote_uri: Part.name_addr(request, :from),
           local_target: Part.contact(response),
           remote_target: remote_target,
           local_cseq: local_cseq,
           remote_cseq: number,
           route_set: Part.record_route(request)
       }}
    end
  end

  defp common(request, response) do
    with :ok <- Part.complete(request),
         :ok <- Part.same_transaction(request, response),
         {:ok, state} <- state(request, response) do
      request = Part.needed(request)
      {number, method} = request.headers.cseq

      dialog = %Dialog{
        state: state,
        method: method,
        call_id: request.headers.call_id,
        initial_cseq: number,
        secure: Part.secure?(request)
      }

      {:ok, request, Part.needed(response), dialog}
    end
  end

  # A 199 tells of a dialog that has ended (RFC 6228).
  defp state(%{start_line: %{method: method}}, %{start_line: %{status_code: status_code}} = to) do
    cond do
      method not in @methods -> error(:not_dialog_forming)
      status_code in 200..299 -> {:ok, :confirmed}
      method != :invite or status_code not in 101..198 -> error(:not_dialog_forming)
      true -> with :ok <- tagged(to, :to), do: {:ok, :early}
    end
  end

  defp tagged(message, header),
    do: if(Part.tag(message, header) == nil, do: error(:missing_tag, header), else: :ok)

  defp remote_target(request) do
    case Part.contact_uri(request) do
      nil -> error(:missing_contact, :contact, 400)
      uri -> {:ok, uri}
    end
  end

  defp error(reason, header \\ nil, status_code \\ nil),
    do: {:error, %DialogError{reason: reason, header: header, status_code: status_code}}
end
